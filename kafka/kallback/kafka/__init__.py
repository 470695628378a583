"""Kafka without tasks: records, the producer and consumer seams, their clients, topics and dead letters.

The names of one client's classes are imported at first use, so that a worker needs no confluent-kafka and a
bridge no aiokafka; where the package is not installed, the error names the command to type.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.consumer import Consumer, ConsumerOptions, GroupProtocol, TopicReader
from kallback.kafka.dead_letter_log import DeadLetter, Foreign, LetterId, ReplayNote, read_entries, read_entry
from kallback.kafka.dead_letters import DeadLetters
from kallback.kafka.end_offsets import EndOffsets
from kallback.kafka.memory import MemoryConsumer, MemoryProducer
from kallback.kafka.memory_broker import MemoryBroker
from kallback.kafka.memory_end_offsets import MemoryEndOffsets
from kallback.kafka.memory_reader import MemoryReader
from kallback.kafka.producer import Producer
from kallback.kafka.records import Headers, OutgoingRecord, Position, Record, TopicPartition
from kallback.kafka.replay import Lost, Replayer, ReplayOptions, ReplayReport, recover
from kallback.kafka.standing import PartitionStanding, Standing
from kallback.kafka.topics import Created, Differs, Existed, TopicFinding, TopicSpec, check_topics, create_topics

if TYPE_CHECKING:
    from kallback.kafka.aiokafka_consumer import AiokafkaConsumer
    from kallback.kafka.aiokafka_producer import AiokafkaProducer
    from kallback.kafka.aiokafka_reader import AiokafkaReader
    from kallback.kafka.confluent_consumer import ConfluentConsumer
    from kallback.kafka.confluent_end_offsets import ConfluentEndOffsets
    from kallback.kafka.confluent_log import find_record
    from kallback.kafka.confluent_producer import ConfluentProducer
    from kallback.kafka.confluent_reader import ConfluentReader

_LAZY: Final = {
    "AiokafkaConsumer": "aiokafka_consumer",
    "AiokafkaProducer": "aiokafka_producer",
    "AiokafkaReader": "aiokafka_reader",
    "ConfluentConsumer": "confluent_consumer",
    "ConfluentEndOffsets": "confluent_end_offsets",
    "ConfluentProducer": "confluent_producer",
    "ConfluentReader": "confluent_reader",
    "find_record": "confluent_log",
}

__all__ = [
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
    "DeadLetters",
    "Differs",
    "EndOffsets",
    "Existed",
    "Foreign",
    "GroupProtocol",
    "Headers",
    "LetterId",
    "Lost",
    "MemoryBroker",
    "MemoryConsumer",
    "MemoryEndOffsets",
    "MemoryProducer",
    "MemoryReader",
    "OutgoingRecord",
    "PartitionStanding",
    "Position",
    "Producer",
    "Record",
    "ReplayNote",
    "ReplayOptions",
    "ReplayReport",
    "Replayer",
    "Standing",
    "TopicFinding",
    "TopicPartition",
    "TopicReader",
    "TopicSpec",
    "check_topics",
    "create_topics",
    "find_record",
    "read_entries",
    "read_entry",
    "recover",
]


def __getattr__(name: str) -> Any:
    """Import a client's module when one of its names is asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
