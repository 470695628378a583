"""What a group member does when a topic is created anew with another number of partitions."""

from __future__ import annotations

import pytest

from kallback.kafka import ConsumerOptions, TopicPartition
from kallback.kafka.offsets.followed_topics import FollowedTopics
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.read_positions import ReadPositions
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.offsets.topic_changes import TopicFacts, TopicState

OWNED = [TopicPartition("t", number) for number in range(3)]


def facts(topic_id: str, partitions: int) -> TopicFacts:
    """What Kafka says of the topic."""
    return TopicFacts({"t": TopicState(topic_id, partitions)}, {})


@pytest.fixture
def buffer() -> RecordBuffer:
    """Of a consumer without options."""
    return RecordBuffer(ConsumerOptions(), lambda: None)


@pytest.fixture
def topics(buffer: RecordBuffer) -> FollowedTopics:
    """A topic of three partitions, all of them owned."""
    positions = ReadPositions(buffer)
    positions.assign(buffer.assign(OWNED))
    topics = FollowedTopics(["t"], positions, lambda: 0.0)
    topics.take(facts("a", 3))
    return topics


def test_partitions_that_the_new_topic_does_not_have_are_not_restarted(topics: FollowedTopics) -> None:
    """No client can seek there."""
    topics.take(facts("b", 1))
    assert (topics.to_restart, topics.vanished) == ({OWNED[0]}, set(OWNED[1:]))


def test_a_partition_that_the_client_does_not_find_is_no_missing_topic(topics: FollowedTopics) -> None:
    """The topic may have been created anew with fewer; without a partition the topic is meant."""
    topics.not_found("t", 2)
    assert topics.missing == frozenset()
    topics.not_found("t", None)
    assert topics.missing == {"t"}


def test_what_is_taken_away_begins_anew_in_the_new_topic(topics: FollowedTopics, buffer: RecordBuffer) -> None:
    """Its next owner finds position 0 committed, not the one in the former topic; nothing is left to restart."""
    topics.take_before_leaving(facts("b", 4), OWNED[:2])
    assert buffer.commits() == {OWNED[0]: Commit(0), OWNED[1]: Commit(0)}
    assert topics.to_restart == {OWNED[2]}


def test_partitions_that_return_before_the_group_assigns_anew_are_named(topics: FollowedTopics) -> None:
    """The client owns them still and no assignment would say so. Once they are revoked, there is nothing to name."""
    topics.take(facts("b", 1))
    topics.take(facts("c", 2))
    assert (topics.returned, topics.vanished) == ({OWNED[1]}, {OWNED[2]})
    topics.revoked(OWNED)
    assert (topics.returned, topics.vanished) == (set(), set())
