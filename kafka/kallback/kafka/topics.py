"""Topics are made on purpose, and looked for at start: what is wanted, and what was found."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import MissingExtraError, MissingTopicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kallback.settings import KafkaSettings


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


_FRESH_TOPIC_PATIENCE: Final = 2.0
"""Seconds for a topic that was just created to show up in every broker's metadata."""

_LOOK: Final = 0.2

TopicFinding = Created | Existed | Differs


async def create_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    """Make the topics that do not exist; compare those that do. Needs confluent-kafka.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: creating or describing is not allowed.
        ConfigurationError: Kafka refuses a name or an option.
    """
    from kallback.kafka import confluent_topics  # noqa: PLC0415 - only who creates topics needs the client

    return await confluent_topics.create_topics(settings, specs)


async def check_topics(settings: KafkaSettings, names: Iterable[str]) -> None:
    """Make sure that topics exist, with whichever client is installed.

    Raises:
        MissingTopicError: one does not exist; the sentence names the command that makes it.
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: looking is not allowed.
    """
    try:
        from kallback.kafka.confluent_topics import check_topics as check  # noqa: PLC0415 - see __init__
    except MissingExtraError:
        from kallback.kafka.aiokafka_client import check_topics as check  # noqa: PLC0415 - see __init__
    wanted, loop = list(names), asyncio.get_running_loop()
    deadline = loop.time() + _FRESH_TOPIC_PATIENCE
    while True:
        try:
            return await check(settings, wanted)
        except MissingTopicError:
            if loop.time() > deadline:
                raise
        await asyncio.sleep(_LOOK)
