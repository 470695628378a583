"""Partitions as text, in what a worker says of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol.long_tasks.partitions import (
    MAX_PARTITIONS_TEXT,
    checked_partitions,
    partitions_of,
    partitions_text,
)


@given(st.sets(st.integers(0, 9_999), max_size=100))
def test_partitions_survive_the_wire(partitions: set[int]) -> None:
    """Ranges or not, in whatever order."""
    text = partitions_text(partitions)
    assert partitions_of(text) == partitions
    assert checked_partitions(text) == text


def test_neighbours_are_a_range() -> None:
    """A worker that reads a thousand partitions in a row needs nine characters."""
    assert partitions_text([8, 0, 1, 2, 3, 4, 5, 5]) == "0-5,8"
    assert partitions_text(range(1000)) == "0-999"


def test_too_many_scattered_ones_are_not_said() -> None:
    """A header has a bound, and half of a list would be wrong."""
    assert partitions_text(range(0, 2_000, 2)) == ""
    assert len(partitions_text(range(0, 400, 2))) <= MAX_PARTITIONS_TEXT


@pytest.mark.parametrize("text", ["", "1,", "-1", "a", None, 7, ["0"], "9-", "5-3"])
def test_what_names_no_partitions_names_none(text: object) -> None:
    """It is only a hint, and may come from anyone who has a token."""
    assert partitions_of(text) == frozenset()


@pytest.mark.parametrize(
    "text", ["0-999999", ",".join(f"{first}-{first + 99_999}" for first in range(0, 900_000, 100_000))]
)
def test_huge_ranges_are_cut(text: str) -> None:
    """No text of a few bytes costs much memory or time, however many ranges it has."""
    assert len(partitions_of(text)) == 100_000
