"""Which consumer groups read a topic, as an administrator sees it: the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TopicGroup:
    """One consumer group that reads a topic, or has read it.

    Attributes:
        members: that have partitions of the topic.
        unassigned: partitions of the topic that no member has.
        committed: its position in each partition; partitions without one are missing.
        lag: committed records behind its positions, and all records of partitions without one.
    """

    name: str
    members: int
    unassigned: int
    committed: Mapping[int, int] = field(default_factory=dict[int, int])
    lag: int = 0
