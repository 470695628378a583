"""How much of one partition may be handed out and not done."""

from __future__ import annotations

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.partition_buffer import UnfinishedLimit
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def buffer(**options: int) -> RecordBuffer:
    """A record buffer with these bounds, that owns partitions A (epoch 1) and B (epoch 2)."""
    books = RecordBuffer(ConsumerOptions(**options), lambda: None)  # type: ignore[arg-type] # counts only
    books.assign([A, B])
    return books


def records(partition: TopicPartition, count: int, *, epoch: int, value: bytes = b"v") -> list[Record]:
    """So many records from offset 0."""
    return [Record("t", partition.partition, offset, 0, None, value, (), epoch) for offset in range(count)]


def test_without_bounds_there_is_always_room() -> None:
    """The window alone bounds it then."""
    load = UnfinishedLimit(None, None)
    load.add(10**12)
    assert load.room > 10**6


def test_full_it_opens_again_at_three_quarters() -> None:
    """So that fetches stay batches."""
    load = UnfinishedLimit(8, None)
    for _ in range(8):
        load.add(1)
    rooms = [load.room]
    for _ in range(2):
        load.remove(1)
        rooms.append(load.room)
    assert rooms == [0, 0, 2]


def test_a_record_larger_than_the_bound_is_handed_out_alone() -> None:
    """No bound stops a partition for ever."""
    books = buffer(unfinished_bytes=10)
    books.put(A, records(A, 2, epoch=1, value=b"x" * 100))
    (first,) = books.take(10)
    assert books.take(10) == []
    books.done(first)
    assert [record.offset for record in books.take(10)] == [1]


def test_a_full_partition_leaves_the_others_alone() -> None:
    """None of A's records becomes done, all of B's are handed out."""
    books = buffer(unfinished_records=3)
    books.put(A, records(A, 10, epoch=1))
    books.put(B, records(B, 10, epoch=2))
    for _ in range(10):
        for record in books.take(4):
            if record.partition == 1:
                books.done(record)
    assert (books.unfinished(), books.commits()) == (3, {B: Commit(10)})


def test_a_partition_that_is_full_wakes_nobody_until_there_is_room() -> None:
    """One wake-up when it opens, not one for each record."""
    rung: list[int] = []
    books = RecordBuffer(ConsumerOptions(unfinished_records=4), lambda: rung.append(1))
    books.assign([A])
    books.put(A, records(A, 8, epoch=1))
    taken = books.take(8)
    rung.clear()
    for record in taken[1:]:
        books.done(record)
    assert (len(taken), rung) == (4, [1])


def test_a_new_epoch_begins_with_all_its_room() -> None:
    """What was handed out under the old one does not count, nor does its end."""
    books = buffer(unfinished_records=2)
    books.put(A, records(A, 2, epoch=1))
    old = books.take(2)
    epoch = books.restart(A)
    books.put(A, records(A, 4, epoch=epoch))
    for record in old:
        books.done(record)
    assert len(books.take(4)) == 2


def test_a_record_that_is_set_aside_makes_room_and_stays_unfinished() -> None:
    """The limits count it no longer, once; the commit position waits for it."""
    books = buffer(unfinished_records=2)
    books.put(A, records(A, 6, epoch=1))
    first, second = books.take(6)
    for _ in range(2):
        books.set_aside([first])
    books.done(second)
    assert [record.offset for record in books.take(6)] == [2, 3]
    assert books.commits() == {}
    books.done(first)
    assert (books.take(6), books.commits()) == ([], {A: Commit(2)})


def test_records_that_are_set_aside_under_an_old_epoch_change_nothing() -> None:
    """The limit of the new epoch is not the one that counted them."""
    books = buffer(unfinished_records=2)
    books.put(A, records(A, 2, epoch=1))
    old = books.take(2)
    epoch = books.restart(A)
    books.put(A, records(A, 4, epoch=epoch))
    assert len(books.take(4)) == 2
    books.set_aside(old)
    for record in old:
        books.done(record)
    assert books.take(4) == []
