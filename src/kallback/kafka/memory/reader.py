"""A reader of a topic on a broker in memory, and where its topics end, for tests without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kallback.kafka.errors import missing_topic
from kallback.kafka.memory.broker import MemoryBroker
from kallback.kafka.records import Record, TopicPartition
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError


class MemoryReader(StartStop):
    """A `TopicReader` that reads from a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, topic: str, *, since_ms: int | None = None) -> None:
        self._broker = broker
        self._topic = topic
        self._since_ms = since_ms
        self._caught_up = asyncio.Event()
        self._arrived = asyncio.Event()
        self._next: dict[TopicPartition, int] = {}

    @property
    def caught_up(self) -> asyncio.Event:
        """Set once everything that was there at the start has been returned."""
        return self._caught_up

    async def start(self) -> None:
        """Find the partitions."""
        partitions = self._broker.partitions(self._topic)
        if not partitions:
            raise missing_topic(self._topic)
        self._next = dict.fromkeys(partitions, 0)
        self._broker.listen(self._arrived)
        if not self._broker.records(self._topic):
            self._caught_up.set()

    async def fetch(self, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Return the next records."""
        try:
            async with asyncio.timeout(timeout):
                while not (records := self._read()):
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            records = []
        self._caught_up.set()
        return records

    async def stop(self) -> None:
        """Close."""
        self._broker.unlisten(self._arrived)
        self._next = {}

    def _read(self) -> list[Record]:
        found: list[Record] = []
        for partition, offset in self._next.items():
            new = self._broker.read(partition, offset, 2**31)
            self._next[partition] = offset + len(new)
            found += [each for each in new if self._since_ms is None or each.timestamp_ms >= self._since_ms]
        return found


class MemoryEndOffsets:
    """`EndOffsets` of a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def of(self, topics: Sequence[str], *, uncommitted: bool = False) -> dict[TopicPartition, int]:
        """Where these topics end; there are no transactions."""
        del uncommitted
        if not self._broker.available:
            raise KafkaUnavailableError("asking where topics end failed (broker switched off); try again")
        for topic in topics:
            if not self._broker.partitions(topic):
                raise missing_topic(topic)
        return {each: self._broker.end(each) for topic in topics for each in self._broker.partitions(topic)}

    async def stop(self) -> None:
        """Nothing is open."""
