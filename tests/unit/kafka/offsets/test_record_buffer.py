"""Records between client and caller: order, wake-ups, bounds, drains."""

from __future__ import annotations

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.offsets.tracker import DoneResult

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)


class Bell:
    """Counts wake-ups."""

    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        """Ring."""
        self.rung += 1


@pytest.fixture
def bell() -> Bell:
    """What is rung when the caller should look."""
    return Bell()


@pytest.fixture
def books(bell: Bell) -> RecordBuffer:
    """A record buffer that owns partitions A and B, with a window of 3."""
    books = RecordBuffer(ConsumerOptions(window=3, buffer_records=4, buffer_bytes=100), bell)
    books.assign([A, B])
    return books


def records(partition: TopicPartition, *offsets: int, epoch: int = 1, value: bytes = b"v") -> list[Record]:
    """Make records."""
    return [Record("t", partition.partition, each, 0, None, value, (), epoch) for each in offsets]


def test_partitions_take_turns(books: RecordBuffer) -> None:
    """A partition with much to give does not starve the other one."""
    books.put(A, records(A, 0, 1, 2))
    books.put(B, records(B, 0, 1, epoch=2))
    assert [record.partition for record in books.take(1) + books.take(1)] == [0, 1]


def test_one_wake_up_per_batch(books: RecordBuffer, bell: Bell) -> None:
    """Several puts before the caller looks ring once; after it looked, again."""
    books.put(A, records(A, 0))
    books.put(A, records(A, 1))
    assert bell.rung == 1
    books.take(2)
    books.put(A, records(A, 2))
    assert bell.rung == 2


def test_a_full_window_does_not_wake_but_its_opening_does(books: RecordBuffer, bell: Bell) -> None:
    """A put into a full window stays silent; the `done` that makes room wakes the caller."""
    books.put(A, records(A, 0, 1, 2))
    first, *_ = books.take(10)
    books.put(A, records(A, 3))
    assert (bell.rung, books.take(10)) == (1, [])
    books.done(first)
    assert bell.rung == 2
    assert [record.offset for record in books.take(10)] == [3]


def test_room_made_for_a_caller_that_was_woken_stays_silent(books: RecordBuffer, bell: Bell) -> None:
    """Between a wake-up and the next take a `done` need not ring; that take finds what it made room for."""
    books.put(A, records(A, 0, 1, 2, 3))
    first, *_ = books.take(10)
    books.put(B, records(B, 0, epoch=2))
    books.done(first)
    assert bell.rung == 2
    assert sorted((record.partition, record.offset) for record in books.take(10)) == [(0, 3), (1, 0)]


def test_held_records_are_bounded_by_count_and_bytes(books: RecordBuffer) -> None:
    """Full at either bound, low at half of both."""
    books.put(A, records(A, 0, 1, 2, 3))
    books.put(B, records(B, 0, epoch=2, value=b"x" * 100))
    assert books.is_full(A)
    assert books.is_full(B)
    assert not books.is_low(A)
    books.take(1), books.take(1), books.take(1)
    assert books.is_low(A) or books.is_low(B)


def test_what_is_going_is_neither_held_nor_handed_out(books: RecordBuffer) -> None:
    """A partition that is taken away gives nothing more, also of what comes late."""
    books.put(A, records(A, 0, 1))
    books.stop_handing_out([A])
    books.put(A, records(A, 2))
    assert books.take(10) == []
    assert books.needing_records() == [B]


def test_a_drain_ends_with_the_last_unfinished_record(books: RecordBuffer) -> None:
    """The feeder is told when nothing of the going partitions is unfinished, once, and at once if so already."""
    drained: list[str] = []
    books.put(A, records(A, 0, 1))
    first, second = books.take(10)
    books.when_drained([A], lambda: drained.append("A"))
    books.when_drained([B], lambda: drained.append("B"))
    books.done(second)
    assert drained == ["B"]
    books.done(first)
    books.done(first)
    assert drained == ["B", "A"]
    assert books.commits([A]) == {A: Commit(2)}


def test_a_stale_done_counts_for_nothing(books: RecordBuffer) -> None:
    """A record of an earlier assignment settles nothing, though the partition is ours again."""
    books.put(A, records(A, 0))
    (record,) = books.take(1)
    books.forget([A])
    assert books.done(record) is DoneResult.STALE
    epoch = books.assign([A])[A]
    books.put(A, records(A, 0, epoch=epoch))
    books.take(1)
    assert books.done(record) is DoneResult.STALE
    assert books.commits() == {}


def test_offsets_that_go_back_begin_anew(books: RecordBuffer) -> None:
    """After a topic was made anew, held records are handed out, but only the new ones count."""
    books.put(A, records(A, 100))
    epoch = books.restart(A)
    books.put(A, records(A, 0, epoch=epoch))
    old, new = books.take(10)
    assert books.done(old) is DoneResult.STALE
    assert books.done(new) is DoneResult.COUNTED
    assert books.commits() == {A: Commit(1)}


def test_records_show_no_content() -> None:
    """Headers hold tokens: a repr names the place only."""
    record = Record("t", 0, 7, 0, b"key", b"secret", (("kallback-token", b"kb1:secret"),), 1)
    assert repr(record) == "Record(t[0]@7 epoch=1)"
