"""Where partitions end and where aiokafka reads on: asked for by the consumer's timer, one small request at a time."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from kallback.kafka.records import TopicPartition

from aiokafka import AIOKafkaConsumer, errors  # isort: skip
from aiokafka import TopicPartition as ClientPartition  # isort: skip

_LOOK: Final = 2.0
_PATIENCE: Final = 2.0  # commits wait for as long


class AiokafkaWatermarks:
    """AiokafkaWatermarks, and beginnings of what is still to be read, by partition."""

    def __init__(self) -> None:
        self.next_look = 0.0
        """When to look again, in the loop's time."""
        self.known: dict[TopicPartition, int] = {}
        self.begins: dict[TopicPartition, int] = {}

    async def look(self, inner: AIOKafkaConsumer, owned: Iterable[TopicPartition]) -> None:
        """Ask; an answer that does not come leaves the old one."""
        partitions = {ClientPartition(each.topic, each.partition): each for each in owned}
        try:
            async with asyncio.timeout(_PATIENCE):
                begins = {ours: await inner.position(each) for each, ours in partitions.items()}
                end_offsets = await inner.end_offsets(list(partitions)) if partitions else {}
        except (errors.KafkaError, TimeoutError):
            pass  # Kafka is away, or a rebalance came between
        else:
            self.begins = begins
            self.known = {partitions[each]: end for each, end in end_offsets.items()}
        self.next_look = asyncio.get_running_loop().time() + _LOOK
