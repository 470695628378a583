"""Looks for topics with aiokafka."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING

from kallback.kafka.aiokafka.bootstrap import reachable_config, until_reachable
from kallback.kafka.aiokafka.client import close, connect, require_topics
from kallback.kafka.topics import until_visible

from aiokafka import AIOKafkaConsumer  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.settings import KafkaSettings


async def check_topics(settings: KafkaSettings, names: Sequence[str]) -> None:
    """See `kallback.kafka.check_topics`."""
    await until_visible(lambda: until_reachable(settings, lambda: _check(settings, names)))


async def _check(settings: KafkaSettings, names: Sequence[str]) -> None:
    client = AIOKafkaConsumer(**await reachable_config(settings), enable_auto_commit=False)
    try:
        await connect(client, settings)
        await require_topics(client, settings, names)
    finally:
        await close(client)


async def list_topics(settings: KafkaSettings) -> frozenset[str]:
    """See `kallback.kafka.list_topics`."""
    return await until_reachable(settings, lambda: _list(settings))


async def _list(settings: KafkaSettings) -> frozenset[str]:
    client = AIOKafkaConsumer(**await reachable_config(settings), enable_auto_commit=False)
    try:
        await connect(client, settings)
        return frozenset(await client.topics())
    finally:
        await close(client)
