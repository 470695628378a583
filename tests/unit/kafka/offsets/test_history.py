"""The history of a partition: known at an assignment, marked in records, repeated in commits until it is read."""

from __future__ import annotations

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.history import (
    UNKNOWN_START,
    CommitState,
    FirstRead,
    PartitionStart,
    first_reads,
    history_end_of,
    history_text,
    start_without_leader,
)
from kallback.kafka.offsets.history_buffer import HistoryBuffer
from kallback.kafka.offsets.partition_metadata import ANY_END, Commit
from kallback.protocol import ConfigurationError

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)


def started(start: PartitionStart) -> HistoryBuffer:
    """A buffer that owns A, which starts so."""
    buffer = HistoryBuffer(ConsumerOptions(mark_history=True), lambda: None)
    buffer.restore({A: start})
    buffer.assign([A])
    return buffer


def records(*offsets: int, epoch: int = 2) -> list[Record]:
    """Make records of A, of the epoch in which its beginning was committed."""
    return [Record("t", 0, each, 0, None, b"v", (), epoch) for each in offsets]


@pytest.mark.parametrize(
    ("start", "state", "end"),
    [
        (PartitionStart(None, 0, 10), CommitState.ABSENT, 10),
        (PartitionStart(None, 10, 10), CommitState.ABSENT, None),
        (PartitionStart(Commit(20), 3, 10), CommitState.BEYOND_END, 10),
        (PartitionStart(Commit(10), 0, 10), CommitState.VALID, None),
        (PartitionStart(Commit(0), 5, 10), CommitState.VALID, None),
        (PartitionStart(Commit(4, history_text(8)), 0, 10), CommitState.VALID, 8),
        (PartitionStart(Commit(8, history_text(8)), 0, 10), CommitState.VALID, None),
        (PartitionStart(Commit(4, history_text(10**17)), 0, 10), CommitState.VALID, 10),
        (PartitionStart(Commit(10, history_text(10**17)), 0, 10), CommitState.VALID, None),
        (PartitionStart(Commit(4, "1:AA"), 0, 10), CommitState.VALID, None),
    ],
)
def test_a_commit_says_where_the_history_ends(start: PartitionStart, state: CommitState, end: int | None) -> None:
    """Without a valid one it is the end of the log; with one it is what its metadata says."""
    assert (start.state, start.history_end) == (state, end)


@pytest.mark.parametrize("text", ["", "history:", "history:-1", "history:1 ", "History:1", "history:" + "9" * 40])
def test_metadata_of_others_say_nothing(text: str) -> None:
    """They are a hint of another program."""
    assert history_end_of(text) is None


def test_partitions_that_are_read_from_their_beginning_are_named_with_their_offsets() -> None:
    """Empty ones are not worth a line."""
    starts = {A: PartitionStart(None, 5, 12), B: PartitionStart(None, 7, 7)}
    assert first_reads(starts) == {FirstRead.NO_COMMIT: {A: 7}}


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (PartitionStart(None, 0, 3, recent_begin=0), FirstRead.NEW_TOPIC),
        (PartitionStart(None, 0, 3, recent_begin=1), FirstRead.NO_COMMIT),
        (PartitionStart(None, 0, 3), FirstRead.NO_COMMIT),
        (PartitionStart(None, 2, 3, recent_begin=2), FirstRead.NO_COMMIT),
        (PartitionStart(Commit(9), 0, 3, recent_begin=0), FirstRead.BEYOND_END),
        (PartitionStart(None, 0, 0), None),
        (PartitionStart(Commit(1), 0, 3, recent_begin=0), None),
    ],
)
def test_the_first_records_of_a_new_topic_are_no_reason_to_worry(
    start: PartitionStart, reason: FirstRead | None
) -> None:
    """A newcomer's first start was a warning. Old records may be read twice, deleted ones were skipped."""
    assert start.first_read is reason


def test_records_below_the_end_at_the_start_are_history() -> None:
    """What is written later is not."""
    buffer = started(PartitionStart(None, 0, 2))
    buffer.put(A, records(0, 1, 2, 3))
    assert [record.history for record in buffer.take(10)] == [True, True, False, False]


def test_a_partition_without_a_commit_is_committed_at_once() -> None:
    """Its beginning, with the end of its history, before anything was handed out."""
    buffer = started(PartitionStart(None, 3, 10))
    assert buffer.commits() == {A: Commit(3, history_text(10))}
    buffer.committed({A: Commit(3, history_text(10))})
    assert buffer.commits() == {}


def test_an_empty_partition_is_committed_at_once_without_a_word() -> None:
    """After that the group is not new any more."""
    assert started(PartitionStart(None, 4, 4)).commits() == {A: Commit(4)}


def test_commits_repeat_the_end_until_they_have_come_to_it() -> None:
    """So a successor marks the same records."""
    buffer = started(PartitionStart(None, 0, 3))
    buffer.put(A, records(0, 1, 2))
    first, second, third = buffer.take(10)
    buffer.done(first)
    assert buffer.commits() == {A: Commit(1, history_text(3))}
    buffer.done(second)
    buffer.done(third)
    assert buffer.commits() == {A: Commit(3)}


def test_a_successor_goes_on_with_the_end_that_was_committed() -> None:
    """Also when the partition has grown since."""
    buffer = started(PartitionStart(Commit(1, history_text(3)), 0, 50))
    buffer.put(A, records(1, 2, 3, epoch=1))
    assert [record.history for record in buffer.take(10)] == [True, True, False]


def test_a_commit_beyond_the_end_is_replaced_at_once() -> None:
    """The log was cut back: all that it holds now is history, and lower positions count."""
    buffer = started(PartitionStart(Commit(90), 0, 2))
    assert buffer.commits() == {A: Commit(0, history_text(2))}


def test_a_topic_that_is_created_anew_has_no_history() -> None:
    """Its records are new to every group."""
    buffer = started(PartitionStart(None, 0, 5))
    epoch = buffer.restart(A)
    buffer.put(A, records(0, 1, epoch=epoch))
    assert [record.history for record in buffer.take(10)] == [False, False]
    assert buffer.commits() == {A: Commit(0)}


def test_the_history_of_a_partition_that_is_gone_is_forgotten() -> None:
    """The next assignment says anew how it starts."""
    buffer = started(PartitionStart(None, 0, 5))
    buffer.forget([A])
    buffer.restore({A: PartitionStart(Commit(5), 0, 5)})
    (epoch,) = buffer.assign([A]).values()
    buffer.put(A, records(5, epoch=epoch))
    assert [record.history for record in buffer.take(10)] == [False]


def test_where_kafka_takes_no_metadata_positions_are_committed_alone() -> None:
    """Positions must not stop for it."""
    buffer = started(PartitionStart(None, 0, 5))
    buffer.stop_metadata()
    assert buffer.commits() == {A: Commit(0)}


def test_one_text_has_one_use() -> None:
    """Both kinds of metadata would overwrite each other."""
    with pytest.raises(ConfigurationError, match="use one of them"):
        ConsumerOptions(commit_metadata=True, mark_history=True)


@pytest.mark.parametrize(
    ("commit", "history_counts", "start"),
    [
        (Commit(4), True, PartitionStart(Commit(4), 4, ANY_END)),
        (Commit(4, history_text(8)), True, PartitionStart(Commit(4, history_text(8)), 4, ANY_END)),
        (None, True, None),
        (None, False, UNKNOWN_START),
    ],
)
def test_a_partition_without_leader_starts_with_its_commit(
    commit: Commit | None, *, history_counts: bool, start: PartitionStart | None
) -> None:
    """Kafka cannot say where it ends; what a group without commit does not know, it must not read."""
    assert start_without_leader(commit, history_counts=history_counts) == start


def test_the_commit_of_a_partition_without_leader_is_valid() -> None:
    """With the history that it names."""
    start = start_without_leader(Commit(4, history_text(8)), history_counts=True)
    assert start is not None
    assert (start.state, start.history_end) == (CommitState.VALID, 8)
