"""A group member on aiokafka: its configuration, and its records as ours."""

# aiokafka ships no py.typed:
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.aiokafka.client import aiokafka_config
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.records import Record

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from kallback.settings import KafkaSettings

_NEVER_MS: Final = 2**31 - 1


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
