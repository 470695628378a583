"""A group member on aiokafka: its configuration, its records as ours, and where its partitions end."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.aiokafka.client import aiokafka_config
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.records import Record, TopicPartition

from aiokafka import TopicPartition as ClientPartition  # isort: skip - the check comes first
from aiokafka import errors  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from kallback.settings import KafkaSettings

_NEVER_MS: Final = 2**31 - 1
_LOOK_INTERVAL_S: Final = 2.0
_LOOK_TIMEOUT_S: Final = 2.0  # commits wait for as long


def consumer_config(settings: KafkaSettings, group: str, options: ConsumerOptions) -> dict[str, Any]:
    """Return aiokafka's arguments of a group member."""
    return aiokafka_config(settings) | {
        "group_id": group,
        "group_instance_id": options.group_instance_id,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "session_timeout_ms": int(options.session_timeout * 1000),
        "heartbeat_interval_ms": int(min(3.0, options.session_timeout / 3) * 1000),
        "rebalance_timeout_ms": int((options.session_timeout + options.drain_timeout) * 1000),
        "max_poll_interval_ms": _NEVER_MS,
        "fetch_max_bytes": options.buffer_bytes_total,
    }


def record_of(message: ConsumerRecord[bytes | None, bytes | None], epoch: int) -> Record:
    """Return aiokafka's record as ours."""
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.timestamp,
        message.key,
        message.value,
        tuple(message.headers),
        epoch,
    )


def ours(partition: ClientPartition) -> TopicPartition:
    """Return aiokafka's partition as ours."""
    return TopicPartition(partition.topic, partition.partition)


def client_partition(partition: TopicPartition) -> ClientPartition:
    """Return our partition as aiokafka's."""
    return ClientPartition(partition.topic, partition.partition)


class AiokafkaWatermarks:
    """Where partitions end and where reading goes on: asked for by the consumer's timer, one small request at a time.

    Attributes:
        next_look: when to look again, in the event loop's time.
        end_offsets: the ends, as far as known.
        positions: the next offsets that aiokafka reads.
    """

    def __init__(self) -> None:
        self.next_look = 0.0
        self.end_offsets: dict[TopicPartition, int] = {}
        self.positions: dict[TopicPartition, int] = {}

    async def look(self, inner: AIOKafkaConsumer, owned: Iterable[TopicPartition]) -> None:
        """Ask; an answer that does not come leaves the old one."""
        partitions = [client_partition(each) for each in owned]
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                positions = {ours(each): await inner.position(each) for each in partitions}
                end_offsets = await inner.end_offsets(partitions) if partitions else {}
        except (errors.KafkaError, TimeoutError):
            pass  # Kafka is unavailable, or a rebalance came between
        else:
            self.positions = positions
            self.end_offsets = {ours(each): end for each, end in end_offsets.items()}
        self.next_look = asyncio.get_running_loop().time() + _LOOK_INTERVAL_S
