"""How topics should be created: retention that outlives timeouts, and dead letters large enough for results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from kallback.protocol.errors import MissingTopicError
from kallback.settings import Topics

_FRESH_TOPIC_PATIENCE_S: Final = 2.0
"""For a topic that was just created to show up in every broker's metadata."""
_LOOK_S: Final = 0.2
_SLACK: Final = timedelta(days=1)
_HEADER_ROOM: Final = 64 * 1024
"""Bytes that the `kallback-dead-*` headers may add to a dead letter."""


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


@dataclass(frozen=True, slots=True)
class Missing:
    """The topic does not exist, or this process may not see it."""

    name: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """This process may not look at the topic (DESCRIBE), so Kafka does not say whether it exists."""

    name: str


TopicFinding = Created | Existed | Differs | Missing
"""What `create_topics` did, or `compare_topics` found, for one topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicLayout:
    """What decides how the topics are made.

    Attributes:
        partitions: of each topic that is read by a group. Default 12: as many bridges, and as many worker
            processes of one group, can share the load, and 1 to 4, 6 or 12 of them share it evenly.
        replication: copies; default -1, the cluster's own `default.replication.factor`.
        longest_timeout: the longest timeout of any task type. Default 7 days. Records are kept a day longer: a
            cancel that is gone before its task cancels nothing.
        dead_letter_retention: default 30 days: people read them, after holidays too.
        max_result_bytes: largest result record. Default 1 MiB, as Kafka's own.
    """

    partitions: int = 12
    replication: int = -1
    longest_timeout: timedelta = timedelta(days=7)
    dead_letter_retention: timedelta = timedelta(days=30)
    max_result_bytes: int = 1024 * 1024

    def specs(self, topics: Topics, task_topics: Iterable[str] = ()) -> list[TopicSpec]:
        """Our own topics, then those of task types; a name that is given twice makes one topic."""
        kept = {"cleanup.policy": "delete", "retention.ms": _milliseconds(self.longest_timeout + _SLACK)}
        results = kept | {"max.message.bytes": str(self.max_result_bytes)}
        letters = {
            "cleanup.policy": "delete",
            "retention.ms": _milliseconds(self.dead_letter_retention),
            "max.message.bytes": str(self.max_result_bytes + _HEADER_ROOM),
        }
        own = [
            *(self._spec(topic, results) for topic in topics.all_results),
            self._spec(topics.progress, kept),
            TopicSpec(topics.control, partitions=1, replication=self.replication, config=kept),
            self._spec(topics.outcomes, kept),
            self._spec(topics.dead_letters, letters),
        ]
        names = {spec.name for spec in own}
        return own + [self._spec(name, kept) for name in dict.fromkeys(task_topics) if name not in names]

    def _spec(self, name: str, config: dict[str, str]) -> TopicSpec:
        return TopicSpec(name, partitions=self.partitions, replication=self.replication, config=config)


def _milliseconds(span: timedelta) -> str:
    return str(int(span.total_seconds() * 1000))


async def until_visible(check: Callable[[], Awaitable[None]], patience: float = _FRESH_TOPIC_PATIENCE_S) -> None:
    """Repeat a check of topics for a moment: what was just created may be unknown to the broker that answers.

    Args:
        check: raises `MissingTopicError`.
        patience: seconds.

    Raises:
        MissingTopicError: a topic does not exist.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            return await check()
        except MissingTopicError:
            if loop.time() > deadline:
                raise
        await asyncio.sleep(_LOOK_S)
