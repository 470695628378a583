"""Which consumer groups read topics, as an administrator sees it: the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kallback.kafka.records import TopicPartition


@dataclass(frozen=True, slots=True)
class TopicGroup:
    """One consumer group that reads topics, or has read them.

    Attributes:
        members: that have partitions of the topics.
        unassigned: partitions of the topics that no member has.
        committed: its position in each partition; partitions without one are missing.
        lag: committed records behind its positions, and all records of partitions without one.
    """

    name: str
    members: int
    unassigned: int
    committed: Mapping[TopicPartition, int] = field(default_factory=dict[TopicPartition, int])
    lag: int = 0
