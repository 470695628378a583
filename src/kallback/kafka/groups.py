"""Which consumer groups read topics, as an administrator sees it: the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kallback.kafka.records import TopicPartition


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One consumer that has partitions of the topics that were asked about.

    Attributes:
        id: of the group's protocol.
        client: the client id that it was given.
        host: its address, as the broker sees it.
        instance: its instance id; None for a dynamic member.
        partitions: those of these topics that it reads.
    """

    id: str
    client: str
    host: str
    instance: str | None
    partitions: frozenset[TopicPartition]


@dataclass(frozen=True, slots=True)
class TopicGroup:
    """One consumer group that reads topics, or has read them.

    Attributes:
        members: that have partitions of the topics.
        unassigned: partitions of the topics that no member has.
        committed: its position in each partition; partitions without one are missing.
        lag: committed records behind its positions, and all records of partitions without one.
        lags: the same of each partition.
        readers: the members, each with its partitions.
    """

    name: str
    members: int
    unassigned: int
    committed: Mapping[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    lag: int = 0
    lags: Mapping[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    readers: tuple[GroupMember, ...] = ()
