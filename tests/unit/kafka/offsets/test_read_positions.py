"""What an unexpected offset means."""

from __future__ import annotations

import logging

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.deleted_records import DeletedRecords, OffsetGap
from kallback.kafka.offsets.followed_topics import FollowedTopics
from kallback.kafka.offsets.read_positions import ReadPositions
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.offsets.topic_changes import TopicFacts, TopicState
from kallback.kafka.offsets.tracker import CommitTracker

A = TopicPartition("t", 0)


@pytest.fixture
def positions() -> ReadPositions:
    """One partition, of which 0 to 9 were read."""
    buffer = RecordBuffer(ConsumerOptions(), lambda: None)
    positions = ReadPositions(buffer)
    positions.assign(buffer.assign([A]))
    positions.next[A] = (positions.moved_to(A, 0), 10)
    return positions


def facts(topic_id: str, *, begin: int | None = None, committed: int | None = None) -> TopicFacts:
    """What Kafka says of the topic."""
    return TopicFacts(
        {"t": TopicState(topic_id, 1)},
        {} if begin is None else {A: begin},
        {} if committed is None else {A: committed},
    )


def test_a_lower_offset_begins_a_new_epoch(positions: ReadPositions) -> None:
    """The records of the former epoch are of another log."""
    before = positions.next[A][0]
    assert positions.moved_to(A, 4) > before
    assert positions.went_back == {A}


def test_an_offset_below_an_end_that_was_reached_first_begins_a_new_epoch() -> None:
    """The assignment began at the end of its partition, and then its topic was created anew."""
    buffer = RecordBuffer(ConsumerOptions(), lambda: None)
    positions = ReadPositions(buffer)
    positions.assign(buffer.assign([A]))
    epoch = positions.moved_to(A, 4)
    positions.reached({A: (epoch, 4)})
    buffer.ended({A: (epoch, 4)})
    assert buffer.commits() == {}
    after = positions.moved_to(A, 0)
    buffer.put(A, [Record("t", 0, 0, 0, None, b"new", (), after)])
    assert (after > epoch, [each.value for each in buffer.take(1)]) == (True, [b"new"])


def test_a_gap_behind_the_beginning_of_the_log_is_normal() -> None:
    """Transaction markers and compaction leave gaps."""
    deleted = DeletedRecords()
    deleted.skipped(A, 10, 11)
    assert deleted.found({A: 3}) == {}
    assert deleted.unexplained == []


def test_a_gap_before_the_beginning_of_the_log_was_deleted() -> None:
    """The widest gap counts, and not what lies behind it."""
    deleted = DeletedRecords()
    deleted.skipped(A, 10, 30)
    deleted.skipped(A, 31, 32)
    assert deleted.found({A: 25}) == {A: OffsetGap(10, 25)}


def test_a_topic_created_anew_is_restarted(positions: ReadPositions) -> None:
    """The client seeks; nothing is restarted before the id changes."""
    topics = FollowedTopics(["t"], positions, lambda: 0.0)
    topics.take(facts("a"))
    assert topics.to_restart == set()
    topics.take(facts("b"))
    assert topics.to_restart == {A}


def test_a_partition_that_went_back_by_itself_is_not_restarted(positions: ReadPositions) -> None:
    """It is read from the beginning of the new topic already."""
    topics = FollowedTopics(["t"], positions, lambda: 0.0)
    topics.take(facts("a"))
    positions.moved_to(A, 0)
    topics.take(facts("b"))
    assert topics.to_restart == set()
    assert positions.went_back == set()


def test_offsets_that_go_back_in_the_same_topic_are_said(
    positions: ReadPositions, caplog: pytest.LogCaptureFixture
) -> None:
    """The log was truncated."""
    topics = FollowedTopics(["t"], positions, lambda: 0.0)
    topics.take(facts("a"))
    positions.moved_to(A, 4)
    topics.take(facts("a"))
    assert "offsets went back" in caplog.text


def test_records_deleted_behind_the_committed_position_are_said(caplog: pytest.LogCaptureFixture) -> None:
    """The group has committed 5, reading begins at 20."""
    buffer = RecordBuffer(ConsumerOptions(), lambda: None)
    positions = ReadPositions(buffer)
    positions.assign(buffer.assign([A]))
    topics = FollowedTopics(["t"], positions, lambda: 0.0)
    topics.assigned([A])
    positions.moved_to(A, 20)
    with caplog.at_level(logging.ERROR):
        topics.take(facts("a", committed=5))
        topics.take(facts("a", begin=20))
    assert "offsets='5 to 19'" in caplog.text


def test_a_restarted_partition_commits_its_position_though_more_was_committed() -> None:
    """What the group has committed of the old topic would make a successor skip records."""
    tracker = CommitTracker(10)
    tracker.assign(A)
    tracker.restart(A, 0)
    assert tracker.uncommitted() == {A: 0}


def test_a_commit_of_the_old_topic_that_is_acknowledged_late_changes_nothing() -> None:
    """It lies beyond the new position."""
    tracker = CommitTracker(10)
    tracker.restart(A, 0)
    tracker.committed({A: 100})
    assert tracker.uncommitted() == {A: 0}
