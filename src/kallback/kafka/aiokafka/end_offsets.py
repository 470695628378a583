"""Asks Kafka where topics end, with aiokafka: a consumer without a group, which fetches nothing."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kallback.kafka.aiokafka.bootstrap import reachable_config
from kallback.kafka.aiokafka.client import close, connected, translated
from kallback.kafka.aiokafka.membership.group_member import client_partition, ours
from kallback.kafka.aiokafka.membership.leaving import close_each
from kallback.kafka.aiokafka.topic_states import partition_counts
from kallback.kafka.records import TopicPartition
from kallback.protocol.errors import KafkaUnavailableError

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.settings import KafkaSettings

_PATIENCE_S: Final = 5.0


class AiokafkaEndOffsets:
    """`EndOffsets` on aiokafka; connects at the first question. Questions are asked one after the other."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._inner: dict[str, AIOKafkaConsumer] = {}
        self._connecting = asyncio.Lock()
        self._stopped = False

    async def of(self, topics: Sequence[str], *, uncommitted: bool = False) -> dict[TopicPartition, int]:
        """Where these topics end."""
        what = f"asking where {', '.join(topics)} end"
        try:
            inner = await self._connected("read_uncommitted" if uncommitted else "read_committed")
            async with asyncio.timeout(_PATIENCE_S):
                counts = await partition_counts(inner, topics)
                partitions = [
                    client_partition(TopicPartition(topic, number))
                    for topic, count in counts.items()
                    for number in range(count)
                ]
                end_offsets = await inner.end_offsets(partitions) if partitions else {}
        except errors.KafkaError as error:
            raise translated(error, what=what) from None
        except (OSError, NotImplementedError) as error:  # TimeoutError is an OSError
            raise KafkaUnavailableError(f"{what} failed ({error!r}); trying again may help") from None
        if len(end_offsets) < len(partitions):
            raise KafkaUnavailableError(f"Kafka does not say where all partitions of {', '.join(topics)} end")
        return {ours(each): end for each, end in end_offsets.items()}

    async def stop(self) -> None:
        """Close the connections."""
        self._stopped = True
        opened, self._inner = self._inner, {}
        await close_each(close, opened.values())

    async def _connected(self, isolation: str) -> AIOKafkaConsumer:
        """A client has one isolation level for all its questions."""
        async with self._connecting:
            if isolation not in self._inner:
                inner = AIOKafkaConsumer(
                    **await reachable_config(self._settings), enable_auto_commit=False, isolation_level=isolation
                )
                inner = await connected(inner, self._settings)
                if self._stopped:
                    await close(inner)
                    raise KafkaUnavailableError("this client is stopped; make a new one")
                self._inner[isolation] = inner
            return self._inner[isolation]
