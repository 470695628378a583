"""Makes every client of a process that uses aiokafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kallback.kafka.aiokafka import topics as aiokafka_topics
from kallback.kafka.aiokafka.consumer import AiokafkaConsumer
from kallback.kafka.aiokafka.end_offsets import AiokafkaEndOffsets
from kallback.kafka.aiokafka.producer import AiokafkaProducer
from kallback.kafka.aiokafka.reader import AiokafkaReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.kafka.consumer import ConsumerOptions
    from kallback.kafka.producer import ProducerOptions
    from kallback.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class AiokafkaClients:
    """`KafkaClients` on aiokafka."""

    settings: KafkaSettings

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> AiokafkaConsumer:
        """Return a new member of a group."""
        return AiokafkaConsumer(self.settings, topics, group, options=options)

    def producer(self, options: ProducerOptions | None = None) -> AiokafkaProducer:
        """Return a new producer."""
        return AiokafkaProducer(self.settings, options)

    def reader(self, topic: str, since_ms: int | None = None, record_bytes: int | None = None) -> AiokafkaReader:
        """Return a new reader of a whole topic."""
        return AiokafkaReader(self.settings, topic, since_ms=since_ms, record_bytes=record_bytes)

    def end_offsets(self) -> AiokafkaEndOffsets:
        """Return what asks where topics end."""
        return AiokafkaEndOffsets(self.settings)

    async def list_topics(self) -> frozenset[str]:
        """The names of all topics."""
        return await aiokafka_topics.list_topics(self.settings)

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Make sure that topics exist."""
        await aiokafka_topics.check_topics(self.settings, topics)
