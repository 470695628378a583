"""The order of measurements."""

from __future__ import annotations

from benchmarks.rounds import rotated


def test_each_round_begins_with_another_one() -> None:
    """After as many rounds as there are items, each was first once and last once."""
    rounds = [rotated("abc", number) for number in range(1, 5)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_nothing_has_no_order() -> None:
    """A run in which nothing is measured does not fail on its order."""
    assert rotated((), 3) == []
