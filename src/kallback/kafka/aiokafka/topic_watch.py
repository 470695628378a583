"""Looks at the topics of a consumer on aiokafka: what became of them, and of what the group has committed there.

Ownership: the consumer's timer calls `look`; everything runs on its event loop. A look that fails leaves all as it was.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kallback.kafka.aiokafka.client import log
from kallback.kafka.aiokafka.membership.group_member import client_partition
from kallback.kafka.aiokafka.topic_states import denied_topic, topic_facts, topic_states
from kallback.kafka.offsets.followed_topics import FollowedTopics
from kallback.kafka.offsets.topic_changes import TOPIC_LOOK_INTERVAL_S, TopicFacts

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kallback.kafka.offsets.read_positions import ReadPositions
    from kallback.kafka.offsets.record_buffer import RecordBuffer
    from kallback.kafka.records import TopicPartition
    from kallback.protocol.errors import KallbackError


class AiokafkaTopicWatch:
    """Looks every few seconds, and at once after `hurry`.

    Args:
        why_silent: why Kafka does not answer, where that is known.

    Attributes:
        followed: what is known of the topics.
    """

    def __init__(
        self, topics: Collection[str], buffer: RecordBuffer, positions: ReadPositions, why_silent: Callable[[], str]
    ) -> None:
        self.followed = FollowedTopics(topics, positions, time.monotonic, why_silent)
        self._topics = topics
        self._buffer = buffer
        self._positions = positions
        self._next = 0.0

    def hurry(self) -> None:
        """Look at the next opportunity, because something happened to a topic."""
        self._next = 0.0

    async def look(self, inner: AIOKafkaConsumer) -> KallbackError | None:
        """Look, if it is time to; return why a topic may not be read any more, if so."""
        if time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + TOPIC_LOOK_INTERVAL_S
        known = self._buffer.known_commits()
        facts = await topic_facts(inner, self._topics, self._positions.deleted.unexplained, known)
        self.followed.report_undone(self._buffer.undone_commits(known, facts.committed), facts.committed)
        self.followed.take(facts)
        self._forget_vanished()
        self._restart(inner)
        return denied_topic(facts)

    async def look_before_leaving(self, inner: AIOKafkaConsumer, going: Collection[TopicPartition]) -> None:
        """Look before the positions of partitions that are taken away are committed; 5 s at most."""
        states = await topic_states(inner, self._topics)
        self.followed.take_before_leaving(TopicFacts(states, {}), going)
        self._forget_vanished()
        self.followed.revoked(going)

    def _forget_vanished(self) -> None:
        gone = self.followed.vanished.intersection(self._positions.next)
        self._buffer.forget(gone)
        self._positions.forget(gone)

    def _restart(self, inner: AIOKafkaConsumer) -> None:
        """Read topics that were created anew from their beginning."""
        for partition in tuple(self.followed.to_restart):
            try:
                inner.seek(client_partition(partition), 0)  # a log that begins later: aiokafka goes on there
            except errors.IllegalStateError as error:  # a rebalance is under way
                log.debug("a partition cannot be restarted yet", partition=str(partition), reason=str(error))
                continue
            self._positions.restart(partition)
            self.followed.to_restart.discard(partition)
