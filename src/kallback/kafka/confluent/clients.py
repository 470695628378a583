"""Makes every client of a process that uses librdkafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kallback.kafka.confluent import topics as confluent_topics
from kallback.kafka.confluent.consumer import ConfluentConsumer
from kallback.kafka.confluent.end_offsets import ConfluentEndOffsets
from kallback.kafka.confluent.producer import ConfluentProducer
from kallback.kafka.confluent.reader import ConfluentReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.kafka.consumer import ConsumerOptions
    from kallback.kafka.producer import ProducerOptions
    from kallback.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class ConfluentClients:
    """`KafkaClients` on librdkafka."""

    settings: KafkaSettings

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> ConfluentConsumer:
        """Return a new member of a group."""
        return ConfluentConsumer(self.settings, topics, group, options=options)

    def producer(self, options: ProducerOptions | None = None) -> ConfluentProducer:
        """Return a new producer."""
        return ConfluentProducer(self.settings, options)

    def reader(self, topic: str, since_ms: int | None = None, record_bytes: int | None = None) -> ConfluentReader:
        """Return a new reader of a whole topic, which returns records of every size."""
        del record_bytes
        return ConfluentReader(self.settings, topic, since_ms=since_ms)

    def end_offsets(self) -> ConfluentEndOffsets:
        """Return what asks where topics end."""
        return ConfluentEndOffsets(self.settings)

    async def list_topics(self) -> frozenset[str]:
        """The names of all topics."""
        return await confluent_topics.list_topics(self.settings)

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Make sure that topics exist."""
        await confluent_topics.check_topics(self.settings, topics)
