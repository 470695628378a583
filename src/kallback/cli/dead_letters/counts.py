"""Counts by names that anyone may choose who writes to the dead-letter topic: bounded in number and in length."""

from __future__ import annotations

from collections import Counter
from typing import Final

_MOST_NAMES: Final = 100
_LONGEST_NAME: Final = 300
"""Characters: more than a reason or a topic has."""
OTHERS: Final = "others"


class BoundedCounts:
    """Counts the first hundred names by themselves, and the others together."""

    def __init__(self) -> None:
        self._counts = Counter[str]()

    def add(self, name: str, count: int = 1) -> None:
        """Count a name."""
        short = name[:_LONGEST_NAME]
        self._counts[short if short in self._counts or len(self._counts) < _MOST_NAMES else OTHERS] += count

    def total(self) -> int:
        """The sum."""
        return self._counts.total()

    def listed(self) -> list[tuple[str, int]]:
        """Names and counts, the largest first."""
        return self._counts.most_common()
