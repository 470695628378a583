"""Where a lookup of many records goes on: at the next record, far behind it, or nowhere."""

from __future__ import annotations

import pytest

from kallback.kafka import Record, Unreadable
from kallback.kafka.confluent.lookup import next_wanted


def record(offset: int, size: int = 1000, unreadable: Unreadable | None = None) -> Record:
    """A record of this size."""
    return Record("tasks", 0, offset, 0, None, None, (), size=size, unreadable=unreadable)


@pytest.mark.parametrize(
    ("last", "goes_on"),
    [(5, 6), (10, 11), (990, 991), (1000, 9000), (8000, 8001), (9000, None), (9500, None)],
)
def test_what_is_near_is_read_and_what_is_far_is_jumped_to(last: int, goes_on: int | None) -> None:
    """Within a mebibyte, counted in records of the last one's size; behind the last wanted one, nothing is read."""
    assert next_wanted([10, 1000, 9000], record(last)) == goes_on


def test_large_records_are_jumped_over_sooner() -> None:
    """Eleven of 100 kB are more than a broker's answer has."""
    assert next_wanted([10, 21, 40], record(10, size=100_000)) == 11
    assert next_wanted([10, 22, 40], record(10, size=100_000)) == 22


def test_a_batch_that_cannot_be_read_stands_for_all_its_records() -> None:
    """It goes on behind the batch."""
    assert next_wanted([10, 12, 20], record(10, unreadable=Unreadable("bad", 5))) == 15
