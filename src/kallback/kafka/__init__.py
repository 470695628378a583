"""Kafka without tasks: records, the producer and consumer seams, their clients, topics and dead letters.

The names of one client's classes are imported at first use, so that a worker needs no confluent-kafka and a
bridge no aiokafka; where the package is not installed, the error names the command to type.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.consumer import Consumer, ConsumerOptions, GroupProtocol, TopicReader
from kallback.kafka.dead_letters.reader import (
    DeadLetter,
    DeadLetterId,
    ReplayMarker,
    UnknownEntry,
    read_entries,
    read_entry,
)
from kallback.kafka.dead_letters.replay import MissingValue, Replayer, ReplayOptions, ReplayReport, recover
from kallback.kafka.dead_letters.writer import DeadLetters
from kallback.kafka.end_offsets import EndOffsets
from kallback.kafka.group_status import UNKNOWN_LAG, GroupStatus, Lag, PartitionStatus, UnknownLag, lag_value
from kallback.kafka.memory.broker import MemoryBroker
from kallback.kafka.memory.clients import MemoryConsumer, MemoryProducer
from kallback.kafka.memory.reader import MemoryEndOffsets, MemoryReader
from kallback.kafka.producer import Producer
from kallback.kafka.records import UNREADABLE, Headers, OutgoingRecord, Position, Record, TopicPartition, Unreadable
from kallback.kafka.topic_admin import check_topics, compare_topics, create_topics
from kallback.kafka.topics import Created, Differs, Existed, Missing, TopicFinding, TopicSpec

if TYPE_CHECKING:
    from kallback.kafka.aiokafka.consumer import AiokafkaConsumer
    from kallback.kafka.aiokafka.producer import AiokafkaProducer
    from kallback.kafka.aiokafka.reader import AiokafkaReader
    from kallback.kafka.confluent.consumer import ConfluentConsumer
    from kallback.kafka.confluent.end_offsets import ConfluentEndOffsets
    from kallback.kafka.confluent.producer import ConfluentProducer
    from kallback.kafka.confluent.reader import ConfluentReader
    from kallback.kafka.confluent.scan import find_record

_LAZY: Final = {
    "AiokafkaConsumer": "aiokafka.consumer",
    "AiokafkaProducer": "aiokafka.producer",
    "AiokafkaReader": "aiokafka.reader",
    "ConfluentConsumer": "confluent.consumer",
    "ConfluentEndOffsets": "confluent.end_offsets",
    "ConfluentProducer": "confluent.producer",
    "ConfluentReader": "confluent.reader",
    "find_record": "confluent.scan",
}

__all__ = [
    "UNKNOWN_LAG",
    "UNREADABLE",
    "AiokafkaConsumer",
    "AiokafkaProducer",
    "AiokafkaReader",
    "ConfluentConsumer",
    "ConfluentEndOffsets",
    "ConfluentProducer",
    "ConfluentReader",
    "Consumer",
    "ConsumerOptions",
    "Created",
    "DeadLetter",
    "DeadLetterId",
    "DeadLetters",
    "Differs",
    "EndOffsets",
    "Existed",
    "GroupProtocol",
    "GroupStatus",
    "Headers",
    "Lag",
    "MemoryBroker",
    "MemoryConsumer",
    "MemoryEndOffsets",
    "MemoryProducer",
    "MemoryReader",
    "Missing",
    "MissingValue",
    "OutgoingRecord",
    "PartitionStatus",
    "Position",
    "Producer",
    "Record",
    "ReplayMarker",
    "ReplayOptions",
    "ReplayReport",
    "Replayer",
    "TopicFinding",
    "TopicPartition",
    "TopicReader",
    "TopicSpec",
    "UnknownEntry",
    "UnknownLag",
    "Unreadable",
    "check_topics",
    "compare_topics",
    "create_topics",
    "find_record",
    "lag_value",
    "read_entries",
    "read_entry",
    "recover",
]


def __getattr__(name: str) -> Any:
    """Import a client's module when one of its names is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
