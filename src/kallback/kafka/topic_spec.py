"""Topics as they are wanted, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it is wanted.

    Attributes:
        partitions: how many; default 3. It bounds how many members of a group work side by side.
        replication: copies; -1, the default, means the cluster's own `default.replication.factor`.
        config: topic options such as `retention.ms`, as texts; default none.
    """

    name: str
    partitions: int = 3
    replication: int = -1
    config: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Created:
    """The topic was made as wanted."""

    name: str


@dataclass(frozen=True, slots=True)
class Existed:
    """The topic was there, as wanted."""

    name: str


@dataclass(frozen=True, slots=True)
class Differs:
    """The topic was there, but not as wanted; nothing was changed."""

    name: str
    differences: tuple[str, ...]


TopicFinding = Created | Existed | Differs
