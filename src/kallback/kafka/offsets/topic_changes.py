"""Notices that a topic was deleted, created anew or got more partitions, from what Kafka says about it. Pure.

A topic that is created anew has another topic id (KIP-516). Offsets of the old one mean nothing in it, and clients do
not notice that by themselves: where the new log is longer than the old position, they would skip its first records.
Where Kafka names no id (brokers before 2.8), only offsets that go back tell.

Brokers learn of a new topic one after the other, so an id that was replaced may be named once more: it is ignored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from kallback.kafka.records import TopicPartition

TOPIC_LOOK_INTERVAL_S: Final = 10.0
"""Seconds between questions about topics: a change must be noticed within 30 s, a rejoin of the group included."""


class TopicState(NamedTuple):
    """A topic as Kafka describes it.

    Attributes:
        topic_id: None if Kafka names none.
        leaderless: the numbers of the partitions that no broker leads.
    """

    topic_id: str | None
    partitions: int
    leaderless: frozenset[int] = frozenset()


class TopicFacts(NamedTuple):
    """What Kafka said.

    Attributes:
        topics: None for a topic that does not exist; one that is left out is unknown.
        begins: the first offsets of logs that were asked about.
        committed: what the group has committed, of partitions that were asked about; None for nothing.
        denied: topics that this user may not describe, and so not read either.
    """

    topics: Mapping[str, TopicState | None]
    begins: Mapping[TopicPartition, int]
    committed: Mapping[TopicPartition, int | None] = {}
    denied: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class TopicGone:
    """The topic does not exist any more."""

    event: ClassVar[str] = (
        "a topic does not exist any more: it is read again once `kallback topics create` has created it"
    )
    topic: str


@dataclass(frozen=True, slots=True)
class TopicBack:
    """The topic that could not be found exists, and is not known to be another one."""

    event: ClassVar[str] = "a topic that was missing exists again"
    topic: str


@dataclass(frozen=True, slots=True)
class TopicRecreated:
    """The topic was deleted and created anew."""

    event: ClassVar[str] = "a topic was deleted and created anew: it is read from its beginning"
    topic: str
    partitions: int


@dataclass(frozen=True, slots=True)
class PartitionsAdded:
    """The topic has more partitions than before."""

    event: ClassVar[str] = "a topic has more partitions than before: they are read, too"
    topic: str
    before: int
    partitions: int


TopicChange = TopicGone | TopicBack | TopicRecreated | PartitionsAdded


class TopicObserver:
    """Compares what Kafka says about topics with what it said before.

    Attributes:
        missing: the topics that do not exist now.
    """

    def __init__(self) -> None:
        self.missing: frozenset[str] = frozenset()
        self._known: dict[str, TopicState] = {}
        self._replaced: set[str] = set()

    def observe(self, found: Mapping[str, TopicState | None]) -> list[TopicChange]:
        """Return what has changed; None stands for a topic that does not exist. A topic that is left out is unknown."""
        return [change for topic, state in found.items() if (change := self._change(topic, state)) is not None]

    def _change(self, topic: str, state: TopicState | None) -> TopicChange | None:
        was_missing = topic in self.missing
        if state is None:
            self.missing |= {topic}
            return None if was_missing else TopicGone(topic)
        if state.topic_id in self._replaced:
            return None
        self.missing -= {topic}
        before = self._known.get(topic)
        self._known[topic] = state
        if before is not None and before.topic_id is not None and before.topic_id != state.topic_id:
            self._replaced.add(before.topic_id)
            return TopicRecreated(topic, state.partitions)
        if before is not None and state.partitions > before.partitions:
            return PartitionsAdded(topic, before.partitions, state.partitions)
        return TopicBack(topic) if was_missing else None
