"""Makes every client of a process that uses a broker in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kallback.kafka.errors import missing_topic
from kallback.kafka.memory.clients import MemoryConsumer, MemoryProducer
from kallback.kafka.memory.reader import MemoryEndOffsets, MemoryReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.kafka.consumer import ConsumerOptions
    from kallback.kafka.memory.broker import MemoryBroker
    from kallback.kafka.producer import ProducerOptions


@dataclass
class MemoryClients:
    """`KafkaClients` on a broker in memory."""

    broker: MemoryBroker

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> MemoryConsumer:
        """Return a new member of a group."""
        return MemoryConsumer(self.broker, topics, group, options=options)

    def producer(self, options: ProducerOptions | None = None) -> MemoryProducer:
        """Return a new producer, which writes each record at once."""
        del options
        return MemoryProducer(self.broker)

    def reader(self, topic: str, since_ms: int | None = None, record_bytes: int | None = None) -> MemoryReader:
        """Return a new reader of a whole topic, which returns records of every size."""
        del record_bytes
        return MemoryReader(self.broker, topic, since_ms=since_ms)

    def end_offsets(self) -> MemoryEndOffsets:
        """Return what asks where topics end."""
        return MemoryEndOffsets(self.broker)

    async def list_topics(self) -> frozenset[str]:
        """The names of all topics."""
        return self.broker.topics()

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Make sure that topics exist."""
        for topic in topics:
            if not self.broker.partitions(topic):
                raise missing_topic(topic)
