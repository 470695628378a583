"""Counts by task type."""

from __future__ import annotations

import pytest
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge.stats import BARE, BOUNDS, OTHER, UNVERIFIED, TaskTypeStats
from kallback.protocol import Attempt, BareAwakeable, Outcome, Token, task_id_of


def token(make: RecordFactory, task_type: str) -> Token:
    """A token of a task type."""
    return Token(task_type, task_id_of(b"t" * 12), Attempt(1), make.token().awakeable_id, 0)


def test_records_are_counted_by_type_outcome_and_reason(make: RecordFactory) -> None:
    """Who sent what, and what became of it."""
    by_task_type = TaskTypeStats()
    for _ in range(3):
        by_task_type.settle(token(make, "a"), Outcome.DELIVERED, None)
    by_task_type.settle(token(make, "a"), Outcome.UNUSABLE, "not-json")
    assert by_task_type.settled == {("a", Outcome.DELIVERED, None): 3, ("a", Outcome.UNUSABLE, "not-json"): 1}


def test_records_without_a_task_type(make: RecordFactory) -> None:
    """Their labels cannot be taken for a task type's name."""
    by_task_type = TaskTypeStats()
    by_task_type.settle(None, Outcome.UNVERIFIED, "no-token")
    by_task_type.settle(BareAwakeable(make.token().awakeable_id), Outcome.DELIVERED, None)
    assert {label for label, *_ in by_task_type.settled} == {UNVERIFIED, BARE}


def test_labels_are_bounded(make: RecordFactory) -> None:
    """Task types beyond the bound share one label, in counts and latencies; known ones keep theirs."""
    by_task_type = TaskTypeStats(most_types=2)
    for name in "abcdea":
        by_task_type.settle(token(make, name), Outcome.DELIVERED, None)
        by_task_type.accept(token(make, name), 1000, 1.0)
    assert {label: count for (label, *_), count in by_task_type.settled.items()} == {"a": 2, "b": 1, OTHER: 3}
    assert {label: sum(it.counts) for label, it in by_task_type.latencies.items()} == {"a": 2, "b": 1, OTHER: 3}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(-5.0, 0), (0.005, 0), (0.0051, 1), (300.0, len(BOUNDS) - 1), (301.0, len(BOUNDS))]
)
def test_a_latency_lies_in_the_bucket_of_its_upper_bound(make: RecordFactory, seconds: float, bucket: int) -> None:
    """Bounds belong to the bucket below; clocks that differ give zero; there is a last bucket without a bound."""
    by_task_type = TaskTypeStats()
    by_task_type.accept(token(make, "a"), 1_000_000, 1000.0 + seconds)
    histogram = by_task_type.latencies["a"]
    assert [number for number, count in enumerate(histogram.counts) if count] == [bucket]
    assert histogram.total == pytest.approx(max(seconds, 0.0))
