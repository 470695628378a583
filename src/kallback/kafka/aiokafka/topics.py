"""Looks for topics with aiokafka."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.bootstrap import reachable_config
from kallback.kafka.aiokafka.client import close, connect, require_topics
from kallback.kafka.topics import until_visible
from kallback.protocol.errors import KafkaUnavailableError

from aiokafka import AIOKafkaConsumer  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.settings import KafkaSettings

_RETRY_S: Final = 0.5


async def check_topics(settings: KafkaSettings, names: Sequence[str]) -> None:
    """See `kallback.kafka.check_topics`."""
    await until_visible(lambda: _check(settings, names))


async def _check(settings: KafkaSettings, names: Sequence[str]) -> None:
    """Check as soon as a broker answers: aiokafka gives up at once where a connection is refused."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.connect_timeout
    while True:
        try:
            await _check_now(settings, names)
        except KafkaUnavailableError:
            if loop.time() + _RETRY_S > deadline:
                raise
            await asyncio.sleep(_RETRY_S)
        else:
            return


async def _check_now(settings: KafkaSettings, names: Sequence[str]) -> None:
    client = AIOKafkaConsumer(**await reachable_config(settings), enable_auto_commit=False)
    try:
        await connect(client, settings)
        await require_topics(client, settings, names)
    finally:
        await close(client)


async def list_topics(settings: KafkaSettings) -> frozenset[str]:
    """See `kallback.kafka.list_topics`."""
    client = AIOKafkaConsumer(**await reachable_config(settings), enable_auto_commit=False)
    try:
        await connect(client, settings)
        return frozenset(await client.topics())
    finally:
        await close(client)
