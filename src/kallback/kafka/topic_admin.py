"""Topics are made on purpose, and looked for at start: what is wanted, and what was found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kallback.kafka.topics import TopicFinding, TopicSpec
from kallback.protocol.errors import MissingExtraError, MissingTopicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kallback.settings import KafkaSettings


_FRESH_TOPIC_PATIENCE: Final = 2.0
"""Seconds for a topic that was just created to show up in every broker's metadata."""

_LOOK: Final = 0.2


async def create_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    """Make the topics that do not exist; compare those that do. Needs confluent-kafka.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: creating or describing is not allowed.
        ConfigurationError: Kafka refuses a name or an option.
    """
    from kallback.kafka.confluent import topics as confluent_topics  # noqa: PLC0415 - only who creates topics needs the client

    return await confluent_topics.create_topics(settings, specs)


async def compare_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    """Compare topics with what is wanted, and change nothing. Needs confluent-kafka.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: describing is not allowed.
    """
    from kallback.kafka.confluent import topics as confluent_topics  # noqa: PLC0415 - see create_topics

    return await confluent_topics.compare_topics(settings, specs)


async def check_topics(settings: KafkaSettings, names: Iterable[str]) -> None:
    """Make sure that topics exist, with whichever client is installed.

    Raises:
        MissingTopicError: one does not exist; the sentence names the command that makes it.
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: looking is not allowed.
    """
    try:
        from kallback.kafka.confluent.topics import check_topics as check  # noqa: PLC0415 - see __init__
    except MissingExtraError:
        from kallback.kafka.aiokafka.client import check_topics as check  # noqa: PLC0415 - see __init__
    wanted, loop = list(names), asyncio.get_running_loop()
    deadline = loop.time() + _FRESH_TOPIC_PATIENCE
    while True:
        try:
            return await check(settings, wanted)
        except MissingTopicError:
            if loop.time() > deadline:
                raise
        await asyncio.sleep(_LOOK)
