"""Partitions of a group member that no broker leads."""

from __future__ import annotations

import pytest

from kallback.kafka import GroupStatus, TopicPartition
from kallback.kafka.group_status import STALLED_AFTER_S
from kallback.kafka.offsets.leaderless import LeaderlessPartitions
from kallback.kafka.offsets.topic_changes import TopicState

OWNED = [TopicPartition("t", number) for number in range(2)]


class Seen:
    """A topic of two partitions, seen at times that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.partitions = LeaderlessPartitions(lambda: self.now)

    def look(self, *leaderless: int, after: float = 0.0, owned: int = 2) -> frozenset[TopicPartition]:
        """Take an answer of Kafka; return which partitions have had no leader for long."""
        self.now += after
        self.partitions.take({"t": TopicState("id", 2, frozenset(leaderless))}, OWNED[:owned])
        return self.partitions.lasting


def test_a_partition_without_a_leader_is_named_when_it_lasts() -> None:
    """A broker that is started again takes less; one that comes back ends it."""
    seen = Seen()
    assert seen.look(1) == frozenset()
    assert seen.look(1, after=STALLED_AFTER_S) == {OWNED[1]}
    assert seen.look() == frozenset()
    assert seen.look(1) == frozenset()


def test_what_another_member_owns_is_not_named() -> None:
    """It is that one's to say."""
    seen = Seen()
    seen.look(1, owned=1)
    assert seen.look(1, after=STALLED_AFTER_S, owned=1) == frozenset()


def test_a_kafka_that_says_nothing_changes_nothing() -> None:
    """The time goes on from the first answer that named no leader."""
    seen = Seen()
    seen.look(0)
    seen.now += STALLED_AFTER_S
    seen.partitions.take({}, OWNED)
    assert seen.partitions.lasting == {OWNED[0]}


def test_the_log_says_when_it_lasts_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Once each, however often Kafka is asked."""
    seen = Seen()
    with caplog.at_level("INFO"):
        for after in (0, STALLED_AFTER_S, 10, 10):
            seen.look(0, after=after)
        seen.look()
    first, second = (each.getMessage() for each in caplog.records)
    assert first.startswith("no broker leads partitions")
    assert second.startswith("brokers lead partitions again")


def test_a_probe_names_the_partition_and_what_to_start() -> None:
    """Records may be there that nobody can read."""
    status = GroupStatus(joined=True, rebalances=1, last_poll=0.0, partitions={}, leaderless=frozenset(OWNED[1:]))
    assert status.stall_reason() == "no broker has led t[1] for 30 s: start one that holds a replica"
