"""The commit position at the end of a partition: it goes there when all before it is done, and never too early."""

from __future__ import annotations

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer

A = TopicPartition("t", 0)


@pytest.fixture
def books() -> RecordBuffer:
    """A record buffer that owns A."""
    books = RecordBuffer(ConsumerOptions(), lambda: None)
    books.assign([A])
    return books


def records(*offsets: int, epoch: int = 1) -> list[Record]:
    """Make records of A."""
    return [Record("t", 0, each, 0, None, b"v", (), epoch) for each in offsets]


def position(books: RecordBuffer) -> int | None:
    """Where A stands."""
    return books.group_status({A: 1000}, 0.0).partitions[A].position


def test_before_anything_is_heard_nothing_is_claimed(books: RecordBuffer) -> None:
    """A known end is no position: its records may be on their way."""
    assert position(books) is None


def test_an_empty_partition_stands_at_its_end(books: RecordBuffer) -> None:
    """Also where an earlier owner has read it to the end; there is nothing to commit."""
    books.ended({A: (1, 7)})
    assert (position(books), books.commits()) == (7, {})


def test_a_position_steps_over_what_is_not_delivered(books: RecordBuffer) -> None:
    """Transaction markers behind the last record, once it is done."""
    books.put(A, records(0))
    books.ended({A: (1, 3)})
    (record,) = books.take(10)
    assert position(books) == 0
    books.done(record)
    assert (position(books), books.commits()) == (3, {A: Commit(3)})


def test_held_records_lie_before_the_end(books: RecordBuffer) -> None:
    """What is held back and not handed out is not passed."""
    books.put(A, records(0, 1))
    books.ended({A: (1, 3)})
    (first,) = books.take(1)
    books.done(first)
    assert (position(books), books.commits()) == (1, {A: Commit(1)})


def test_records_dropped_in_a_rebalance_lie_before_the_end(books: RecordBuffer) -> None:
    """What was held when the partition is taken away goes to the next owner."""
    books.put(A, records(0, 1))
    books.ended({A: (1, 3)})
    (first,) = books.take(1)
    books.done(first)
    books.stop_handing_out([A])
    assert books.commits() == {A: Commit(1)}


def test_an_end_after_a_rebalance_began_is_not_believed(books: RecordBuffer) -> None:
    """Records before it may have been dropped."""
    books.put(A, records(0))
    (first,) = books.take(1)
    books.stop_handing_out([A])
    books.put(A, records(1, 2))
    books.ended({A: (1, 4)})
    books.done(first)
    assert books.commits() == {A: Commit(1)}


def test_an_end_known_before_a_rebalance_still_counts(books: RecordBuffer) -> None:
    """With nothing held back, draining the last record takes the position there."""
    books.put(A, records(0))
    books.ended({A: (1, 2)})
    (first,) = books.take(1)
    books.stop_handing_out([A])
    books.done(first)
    assert books.commits() == {A: Commit(2)}


def test_an_end_of_another_epoch_counts_for_nothing(books: RecordBuffer) -> None:
    """The partition went and came back, or its offsets went back."""
    books.ended({A: (0, 7)})
    assert position(books) is None
    books.ended({A: (1, 7)})
    books.restart(A)
    assert position(books) == 0, "where the new epoch begins"


def test_records_behind_an_end_move_on_from_it(books: RecordBuffer) -> None:
    """An end is passed by the next record, and an older end takes nobody back."""
    books.ended({A: (1, 3)})
    assert position(books) == 3
    books.put(A, records(3))
    (record,) = books.take(10)
    assert position(books) == 3
    books.done(record)
    books.ended({A: (1, 4)})
    assert (position(books), books.commits()) == (4, {A: Commit(4)})


def test_the_end_of_a_partition_that_is_gone_is_ignored(books: RecordBuffer) -> None:
    """It comes with the last records of an assignment that is over."""
    books.forget([A])
    books.ended({A: (1, 3)})
    assert books.commits() == {}
