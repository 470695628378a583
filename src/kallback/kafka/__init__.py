"""Kafka without tasks: records, the producer and consumer seams, their clients, topics and dead letters.

Every name is imported at its first use, so that a process loads what it uses: a worker neither the clients for tests
nor the replay of dead letters, and no confluent-kafka; where that package is not installed, the error names the
command to type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.lazy_names import lazy_names

if TYPE_CHECKING:
    from kallback.kafka.aiokafka.consumer import AiokafkaConsumer
    from kallback.kafka.aiokafka.end_offsets import AiokafkaEndOffsets
    from kallback.kafka.aiokafka.producer import AiokafkaProducer
    from kallback.kafka.aiokafka.reader import AiokafkaReader
    from kallback.kafka.clients import Client, ClientName, KafkaClients, client_of, clients_of
    from kallback.kafka.confluent.consumer import ConfluentConsumer
    from kallback.kafka.confluent.end_offsets import ConfluentEndOffsets
    from kallback.kafka.confluent.lookup import find_record, find_records, read_range, read_ranges
    from kallback.kafka.confluent.producer import ConfluentProducer
    from kallback.kafka.confluent.reader import ConfluentReader
    from kallback.kafka.consumer import Assignment, Consumer, ConsumerOptions, GroupProtocol, TopicReader
    from kallback.kafka.dead_letters.budget import LetterBudget, LetterForm
    from kallback.kafka.dead_letters.reader import (
        DeadLetter,
        DeadLetterId,
        ReplayMarker,
        UnknownEntry,
        read_entries,
        read_entry,
    )
    from kallback.kafka.dead_letters.replay import Replayer, ReplayOptions, ReplayReport
    from kallback.kafka.dead_letters.stubs import FindRecords, MissingValue, recover
    from kallback.kafka.dead_letters.summaries import LetterSummary, OffsetRange, SummaryBuilder
    from kallback.kafka.dead_letters.writer import DeadLetters
    from kallback.kafka.end_offsets import EndOffsets
    from kallback.kafka.group_status import UNKNOWN_LAG, GroupStatus, Lag, PartitionStatus, UnknownLag, lag_value
    from kallback.kafka.groups import GroupMember, TopicGroup
    from kallback.kafka.memory.broker import MemoryBroker
    from kallback.kafka.memory.clients import MemoryConsumer, MemoryProducer
    from kallback.kafka.memory.kafka_clients import MemoryClients
    from kallback.kafka.memory.reader import MemoryEndOffsets, MemoryReader
    from kallback.kafka.producer import IN_BATCHES, Producer, ProducerOptions
    from kallback.kafka.records import (
        TOO_MANY_HEADERS,
        UNREADABLE,
        Headers,
        OutgoingRecord,
        Placement,
        Position,
        Record,
        Refusal,
        RefusedRun,
        TopicPartition,
        Unreadable,
        position_of,
        size_of,
    )
    from kallback.kafka.refused_writes import SMALL_RECORD_BYTES, RefusalTracker, RefusedWrites
    from kallback.kafka.topic_admin import (
        check_topics,
        compare_topics,
        create_topics,
        find_missing,
        groups_of,
        list_topics,
        open_transactions,
        sees_groups,
    )
    from kallback.kafka.topics import Created, Differs, Existed, Hidden, Missing, TopicFinding, TopicSpec
    from kallback.kafka.transactions import PartitionTransaction

_HOMES: Final = {
    "IN_BATCHES": "producer",
    "SMALL_RECORD_BYTES": "refused_writes",
    "TOO_MANY_HEADERS": "records",
    "UNKNOWN_LAG": "group_status",
    "UNREADABLE": "records",
    "AiokafkaConsumer": "aiokafka.consumer",
    "AiokafkaEndOffsets": "aiokafka.end_offsets",
    "AiokafkaProducer": "aiokafka.producer",
    "AiokafkaReader": "aiokafka.reader",
    "Assignment": "consumer",
    "Client": "clients",
    "ClientName": "clients",
    "ConfluentConsumer": "confluent.consumer",
    "ConfluentEndOffsets": "confluent.end_offsets",
    "ConfluentProducer": "confluent.producer",
    "ConfluentReader": "confluent.reader",
    "Consumer": "consumer",
    "ConsumerOptions": "consumer",
    "Created": "topics",
    "DeadLetter": "dead_letters.reader",
    "DeadLetterId": "dead_letters.reader",
    "DeadLetters": "dead_letters.writer",
    "Differs": "topics",
    "EndOffsets": "end_offsets",
    "Existed": "topics",
    "GroupProtocol": "consumer",
    "FindRecords": "dead_letters.stubs",
    "GroupStatus": "group_status",
    "Headers": "records",
    "Hidden": "topics",
    "KafkaClients": "clients",
    "Lag": "group_status",
    "LetterBudget": "dead_letters.budget",
    "LetterForm": "dead_letters.budget",
    "LetterSummary": "dead_letters.summaries",
    "MemoryBroker": "memory.broker",
    "MemoryClients": "memory.kafka_clients",
    "MemoryConsumer": "memory.clients",
    "MemoryEndOffsets": "memory.reader",
    "MemoryProducer": "memory.clients",
    "MemoryReader": "memory.reader",
    "Missing": "topics",
    "MissingValue": "dead_letters.stubs",
    "OffsetRange": "dead_letters.summaries",
    "OutgoingRecord": "records",
    "PartitionStatus": "group_status",
    "PartitionTransaction": "transactions",
    "Placement": "records",
    "Position": "records",
    "Producer": "producer",
    "ProducerOptions": "producer",
    "Record": "records",
    "Refusal": "records",
    "RefusalTracker": "refused_writes",
    "RefusedRun": "records",
    "RefusedWrites": "refused_writes",
    "ReplayMarker": "dead_letters.reader",
    "ReplayOptions": "dead_letters.replay",
    "ReplayReport": "dead_letters.replay",
    "Replayer": "dead_letters.replay",
    "SummaryBuilder": "dead_letters.summaries",
    "TopicFinding": "topics",
    "GroupMember": "groups",
    "TopicGroup": "groups",
    "TopicPartition": "records",
    "TopicReader": "consumer",
    "TopicSpec": "topics",
    "UnknownEntry": "dead_letters.reader",
    "UnknownLag": "group_status",
    "Unreadable": "records",
    "check_topics": "topic_admin",
    "client_of": "clients",
    "clients_of": "clients",
    "compare_topics": "topic_admin",
    "create_topics": "topic_admin",
    "find_missing": "topic_admin",
    "find_record": "confluent.lookup",
    "find_records": "confluent.lookup",
    "groups_of": "topic_admin",
    "lag_value": "group_status",
    "list_topics": "topic_admin",
    "open_transactions": "topic_admin",
    "position_of": "records",
    "read_entries": "dead_letters.reader",
    "read_entry": "dead_letters.reader",
    "read_range": "confluent.lookup",
    "read_ranges": "confluent.lookup",
    "recover": "dead_letters.stubs",
    "sees_groups": "topic_admin",
    "size_of": "records",
}

__all__ = [
    "IN_BATCHES",
    "SMALL_RECORD_BYTES",
    "TOO_MANY_HEADERS",
    "UNKNOWN_LAG",
    "UNREADABLE",
    "AiokafkaConsumer",
    "AiokafkaEndOffsets",
    "AiokafkaProducer",
    "AiokafkaReader",
    "Assignment",
    "Client",
    "ClientName",
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
    "FindRecords",
    "GroupMember",
    "GroupProtocol",
    "GroupStatus",
    "Headers",
    "Hidden",
    "KafkaClients",
    "Lag",
    "LetterBudget",
    "LetterForm",
    "LetterSummary",
    "MemoryBroker",
    "MemoryClients",
    "MemoryConsumer",
    "MemoryEndOffsets",
    "MemoryProducer",
    "MemoryReader",
    "Missing",
    "MissingValue",
    "OffsetRange",
    "OutgoingRecord",
    "PartitionStatus",
    "PartitionTransaction",
    "Placement",
    "Position",
    "Producer",
    "ProducerOptions",
    "Record",
    "Refusal",
    "RefusalTracker",
    "RefusedRun",
    "RefusedWrites",
    "ReplayMarker",
    "ReplayOptions",
    "ReplayReport",
    "Replayer",
    "SummaryBuilder",
    "TopicFinding",
    "TopicGroup",
    "TopicPartition",
    "TopicReader",
    "TopicSpec",
    "UnknownEntry",
    "UnknownLag",
    "Unreadable",
    "check_topics",
    "client_of",
    "clients_of",
    "compare_topics",
    "create_topics",
    "find_missing",
    "find_record",
    "find_records",
    "groups_of",
    "lag_value",
    "list_topics",
    "open_transactions",
    "position_of",
    "read_entries",
    "read_entry",
    "read_range",
    "read_ranges",
    "recover",
    "sees_groups",
    "size_of",
]

__getattr__ = lazy_names(__name__, _HOMES)
