"""What a librdkafka consumer knows of its topics, and what follows: Kafka is asked, and commits and reading are told.

Called by the consumer thread only.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import log
from kallback.kafka.confluent.membership.commits import Commits
from kallback.kafka.confluent.membership.committed_offsets import committed_offsets
from kallback.kafka.confluent.reading import PartitionReading
from kallback.kafka.confluent.topic_watch import TopicWatch
from kallback.kafka.errors import DENIED
from kallback.kafka.login.token_source import why_no_token
from kallback.kafka.offsets.followed_topics import FollowedTopics

from confluent_kafka import Consumer, KafkaException  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from kallback.kafka.offsets.history import PartitionStart
    from kallback.kafka.offsets.record_buffer import RecordBuffer
    from kallback.kafka.offsets.topic_changes import TopicFacts
    from kallback.kafka.records import TopicPartition
    from kallback.settings import KafkaSettings

_COMMITTED_TIMEOUT_S: Final = 0.5  # nothing is polled meanwhile
_TOPICS_TIMEOUT_S: Final = 2.0  # at a rebalance


class MemberTopics:
    """The topics of one group member.

    Args:
        topics: their names.
        buffer: knows what was committed.
        reading: restarts and forgets partitions.
        commits: are suspended while a topic is missing.

    Attributes:
        followed: what became of the topics.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        buffer: RecordBuffer,
        reading: PartitionReading,
        commits: Commits,
    ) -> None:
        self._buffer = buffer
        self._reading = reading
        self._commits = commits
        self._watch = TopicWatch(settings, topics)
        self.followed = FollowedTopics(topics, reading.positions, time.monotonic, partial(why_no_token, settings))

    def look(self, consumer: Consumer, now: float) -> Collection[TopicPartition]:
        """Ask Kafka when it is time to, and act on its answers.

        Returns:
            the partitions that only a new client reads.
        """
        followed, positions = self.followed, self._reading.positions
        if positions.went_back:
            self._watch.hurry()
        facts = self._watch.look(now, positions.deleted.unexplained)
        if facts is not None:
            followed.take(self._with_commits(consumer, facts) if facts.topics else facts)
            self._apply()
        if followed.to_restart:
            followed.to_restart = {each for each in followed.to_restart if not self._reading.restart(each)}
        return followed.returned if facts is not None else ()

    def look_before_leaving(self, going: Collection[TopicPartition]) -> None:
        """Ask Kafka before the positions of partitions that are taken away are committed; allowed inside a callback."""
        self.followed.take_before_leaving(self._watch.answers(_TOPICS_TIMEOUT_S), going)
        self._apply()

    def not_found(self, topic: str | None, partition: int | None) -> None:
        """Take note that the client does not find a topic, any of them, or a partition of one."""
        self.followed.not_found(topic, partition)
        self._commits.suspended = self.followed.missing
        self._watch.hurry()

    def assigned(self, owned: Collection[TopicPartition], starts: Mapping[TopicPartition, PartitionStart]) -> None:
        """Ask Kafka soon about partitions that the group has assigned."""
        self.followed.assigned(owned, starts)
        self._watch.hurry()

    def close(self) -> None:
        """Close the connection."""
        self._watch.close()

    def _apply(self) -> None:
        self._commits.suspended = self.followed.missing
        self._reading.forget(self.followed.vanished)

    def _with_commits(self, consumer: Consumer, facts: TopicFacts) -> TopicFacts:
        """Add what the group has committed; what is lost is committed again."""
        before = self._buffer.known_commits()
        if not before:
            return facts
        try:
            found = committed_offsets(consumer, before, _COMMITTED_TIMEOUT_S)
        except KafkaException as error:
            log.debug("Kafka does not say what is committed", detail=str(error))
            if error.args[0].code() in DENIED:  # librdkafka itself does not tell an idle member
                self._commits.on_denied(error.args[0])
            return facts
        self.followed.report_undone(self._buffer.undone_commits(before, found), found)
        return facts._replace(committed=found)
