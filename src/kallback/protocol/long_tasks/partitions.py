"""Partitions as text: which ones a worker reads, `0-5,8`. Pure.

A worker says it with its progress, so that the next attempt of a lost one goes to a partition that another worker
reads. Only a hint: what cannot be read counts as not said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_PARTITIONS_TEXT: Final = 1_024
"""Characters; a worker that reads more scattered partitions says nothing of them."""

_RANGE: Final = r"(?:0|[1-9][0-9]{0,5})(?:-(?:0|[1-9][0-9]{0,5}))?"
_RANGES: Final = re.compile(rf"{_RANGE}(?:,{_RANGE})*", re.ASCII)
_MOST: Final = 100_000
"""Partitions of all ranges of a text together."""


def partitions_text(partitions: Iterable[int]) -> str:
    """Partitions as text; empty for none, and where the text would be too long."""
    ranges = list[tuple[int, int]]()
    for each in sorted(set(partitions)):
        if ranges and each == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], each
        else:
            ranges.append((each, each))
    text = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
    return text if len(text) <= MAX_PARTITIONS_TEXT else ""


def checked_partitions(text: str) -> str:
    """The text if it names partitions, otherwise empty."""
    return text if len(text) <= MAX_PARTITIONS_TEXT and _RANGES.fullmatch(text) else ""


def partitions_of(text: object) -> frozenset[int]:
    """The partitions in a text; none if it is not such a text."""
    found, left = set[int](), _MOST
    for part in checked_partitions(text).split(",") if isinstance(text, str) else ():
        first, _, last = part.partition("-")
        if first:
            named = range(int(first), int(last or first) + 1)[:left]
            found.update(named)
            left -= len(named)
    return frozenset(found)
