"""Records whose outcome or count an earlier owner has noted, between client and caller."""

from __future__ import annotations

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.commit_metadata import CommitMetadata, decode, encode
from kallback.kafka.offsets.history import UNKNOWN_START, PartitionStart
from kallback.kafka.offsets.metadata_buffer import MetadataBuffer, new_record_buffer
from kallback.kafka.offsets.partition_metadata import ANY_END, Commit

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)


def buffer(notes: CommitMetadata | None = None, *, window: int = 100) -> MetadataBuffer:
    """A record buffer that owns A, with what a predecessor noted at position 0."""
    books = MetadataBuffer(ConsumerOptions(window=window, commit_metadata=True), lambda: None)
    books.restore({A: PartitionStart(Commit(0, encode(0, notes or CommitMetadata())), 0, ANY_END)})
    books.assign([A])
    return books


def records(*offsets: int, epoch: int = 1) -> list[Record]:
    """Make records of A."""
    return [Record("t", 0, each, 0, None, b"v", (), epoch) for each in offsets]


def noted(books: MetadataBuffer, *, leaving: bool = False) -> tuple[int, CommitMetadata]:
    """The position and notes that would be committed of A."""
    commit = books.commits([A], leaving=leaving)[A]
    return commit.position, decode(commit.position, commit.metadata)


def test_what_was_done_is_not_handed_out_again() -> None:
    """Its turn comes and goes; the position passes it with the records around it."""
    books = buffer(CommitMetadata(((1, 3), (4, 5))))
    books.put(A, records(0, 1, 2, 3, 4, 5))
    taken = books.take(10)
    assert [record.offset for record in taken] == [0, 3, 5]
    for record in taken:
        books.done(record)
    assert books.commits() == {A: Commit(6)}


def test_a_limit_counts_what_is_handed_out() -> None:
    """Records that are skipped leave their place to others."""
    books = buffer(CommitMetadata(((0, 5),)))
    books.put(A, records(*range(10)))
    assert [record.offset for record in books.take(3)] == [5, 6, 7]


def test_skipped_records_make_room_for_the_client() -> None:
    """The feeder hears of them, though the caller gets nothing."""
    books = buffer(CommitMetadata(((0, 5),)))
    books.put(A, records(*range(5)))
    assert books.take(3) == []
    assert books.taken.is_set()
    assert books.commits() == {A: Commit(5)}


def test_a_done_record_before_a_full_window_waits_like_any_other() -> None:
    """A window counts records between position and newest, whoever has done them."""
    books = buffer(CommitMetadata(((1, 3),)), window=3)
    books.put(A, records(0, 1, 2, 3))
    (first,) = books.take(10)
    books.done(first)
    assert [record.offset for record in books.take(10)] == [3]


def test_a_record_says_how_often_it_was_started() -> None:
    """Others' starts and this one; those never started say once."""
    books = buffer(CommitMetadata((), {1: 2}))
    books.put(A, records(0, 1))
    assert [record.deliveries for record in books.take(10)] == [1, 2 + 1]


def test_a_start_is_committed_once() -> None:
    """CommitMetadata alone make a commit due, until Kafka has them."""
    books = buffer()
    books.put(A, records(0, 1))
    first, _second = books.take(10)
    assert books.commits() == {}
    books.started(first)
    commits = books.commits()
    assert noted(books) == (0, CommitMetadata((), {0: 1}, at_work=True))
    books.committed(commits)
    assert books.commits() == {}


def test_leaving_takes_starts_back() -> None:
    """A commit is due for it, though nothing else has changed."""
    books = buffer(CommitMetadata((), {1: 2}))
    books.put(A, records(0, 1))
    for record in books.take(10):
        books.started(record)
    books.committed(books.commits())
    assert noted(books, leaving=True) == (0, CommitMetadata((), {1: 2}))


def test_the_first_start_of_an_assignment_is_committed_before_the_work() -> None:
    """It tells the next owner that somebody was at work; the starts after it wait for nothing."""
    books = buffer()
    books.put(A, records(0, 1))
    first, second = books.take(10)
    books.started(first)
    assert books.must_commit_start(first)
    books.committed(books.commits())
    books.started(second)
    assert not books.must_commit_start(second)


def test_every_start_is_committed_before_the_work_after_an_owner_that_died() -> None:
    """Records come again that a process dies of at once, and the dead one has not noted them."""
    books = buffer(CommitMetadata(at_work=True))
    books.put(A, records(0, 1))
    for record in books.take(10):
        books.started(record)
        books.committed(books.commits())
        assert books.must_commit_start(record)


def test_starts_wait_for_nothing_where_brokers_allow_no_metadata() -> None:
    """There is nothing that a commit could say."""
    books = buffer(CommitMetadata(at_work=True))
    books.put(A, records(0))
    books.stop_metadata()
    assert not any(books.must_commit_start(record) for record in books.take(10))


def test_starts_of_other_assignments_wait_for_nothing() -> None:
    """Nothing of theirs is committed."""
    books = buffer()
    books.put(A, records(0))
    (record,) = books.take(10)
    books.forget([A])
    assert not books.must_commit_start(record)


def test_a_stale_start_counts_for_nothing() -> None:
    """A record of an earlier assignment, or of a partition that is gone."""
    books = buffer()
    books.put(A, records(0))
    (old,) = books.take(1)
    books.forget([A])
    books.started(old)
    books.restore({A: UNKNOWN_START})
    epoch = books.assign([A])[A]
    books.put(A, records(0, epoch=epoch))
    books.take(1)
    books.started(old)
    assert books.commits() == {}


def test_notes_of_records_that_are_no_more_are_replaced() -> None:
    """Offsets went back: nothing of the new records is skipped, and the old text goes with the next commit."""
    books = buffer(CommitMetadata(((1, 3),), {0: 4}))
    epoch = books.restart(A)
    books.put(A, records(0, 1, epoch=epoch))
    assert [(record.offset, record.deliveries) for record in books.take(10)] == [(0, 1), (1, 1)]
    assert books.commits() == {A: Commit(0)}


def test_records_of_an_ended_epoch_are_handed_out_as_they_are() -> None:
    """What was held when offsets went back is neither skipped nor counted."""
    books = buffer(CommitMetadata(((0, 2),)))
    books.put(A, records(0))
    books.restart(A)
    (record,) = books.take(10)
    assert (record.offset, record.deliveries, books.unfinished()) == (0, 1, 0)


def test_nothing_is_noted_of_partitions_without_a_position() -> None:
    """Before the first record there is nothing to say; and a partition without a book has bare positions."""
    books = buffer(CommitMetadata(((1, 3),)))
    epoch = books.assign([B])[B]
    assert books.commits() == {}
    books.put(B, [Record("t", 1, 7, 0, None, b"v", (), epoch)])
    (record,) = books.take(10)
    books.started(record)
    books.done(record)
    assert books.commits() == {B: Commit(8)}
    assert books.commits([A]) == {}


def test_brokers_that_allow_no_notes_get_positions() -> None:
    """After a refusal, commits go on without them."""
    books = buffer()
    books.put(A, records(0, 1, 2))
    first, _second, third = books.take(10)
    books.done(first)
    books.done(third)
    assert noted(books) == (1, CommitMetadata(((2, 3),)))
    books.stop_metadata()
    assert books.commits() == {A: Commit(1)}


@pytest.mark.parametrize("notes", [False, True])
def test_notes_are_an_option(notes: bool) -> None:  # noqa: FBT001 - the parameter of the test
    """Without them a start is nothing, and metadata stays empty."""
    books = new_record_buffer(ConsumerOptions(commit_metadata=notes), lambda: None, lambda: 0.0)
    books.restore({A: PartitionStart(Commit(0, encode(0, CommitMetadata(((1, 2),)))), 0, ANY_END)})
    epoch = books.assign([A])[A]
    books.put(A, records(0, 1, 2, epoch=epoch))
    taken = books.take(10)
    books.started(taken[0])
    books.done(taken[-1])
    assert [record.offset for record in taken] == ([0, 2] if notes else [0, 1, 2])
    assert bool(books.commits()) == notes


@pytest.mark.parametrize("at_work", [False, True])
def test_nothing_is_noted_of_records_that_are_not_written_yet(*, at_work: bool) -> None:
    """Whoever may commit for the group could have them skipped, or counted as deadly; and no commit hands that on."""
    hostile = CommitMetadata(((1, 2), (3, 2**60)), {0: 1, 5: 99}, at_work)
    books = MetadataBuffer(ConsumerOptions(commit_metadata=True), lambda: None)
    books.restore({A: PartitionStart(Commit(0, encode(0, hostile)), 0, 4)})
    books.assign([A])
    books.put(A, records(0, 1, 2, 3, 4, 5))
    assert [(each.offset, each.deliveries) for each in books.take(10)] == [(0, 2), (2, 1), (4, 1), (5, 1)]
    assert noted(books, leaving=True) == (0, CommitMetadata(((1, 2), (3, 4)), {0: 1}, at_work))
