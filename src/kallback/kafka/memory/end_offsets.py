"""`EndOffsets` of a broker in memory."""

from __future__ import annotations

from collections.abc import Sequence

from kallback.kafka.errors import missing_topic
from kallback.kafka.memory.broker import MemoryBroker
from kallback.kafka.records import TopicPartition
from kallback.protocol.errors import KafkaUnavailableError


class MemoryEndOffsets:
    """Asks a `MemoryBroker` where partitions end."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def of(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """Where these topics end."""
        if not self._broker.available:
            raise KafkaUnavailableError("asking where topics end failed (broker switched off); try again")
        for topic in topics:
            if not self._broker.partitions(topic):
                raise missing_topic(topic)
        return {each: self._broker.end(each) for topic in topics for each in self._broker.partitions(topic)}

    async def stop(self) -> None:
        """Nothing is open."""
