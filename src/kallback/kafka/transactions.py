"""Transactions that producers have open in partitions, as an administrator sees them: the values."""

from __future__ import annotations

from dataclasses import dataclass

from kallback.kafka.records import TopicPartition


@dataclass(frozen=True, slots=True)
class PartitionTransaction:
    """A transaction that is open in a partition now. Producers that work end theirs in moments.

    Attributes:
        start_offset: of its first record there; nothing behind it is read.
        producer_id: Kafka's number of the producer.
        transactional_id: the producer's own name; None if this user may not see it.
        written_ms: when the producer last wrote to the partition, in epoch milliseconds of the producer's clock.
    """

    partition: TopicPartition
    start_offset: int
    producer_id: int
    transactional_id: str | None
    written_ms: int
