"""Topics, producers, consumers and readers of one client: what each conformance test works with."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar
from unittest.mock import patch

from confluent_kafka import Consumer as Client
from confluent_kafka import Producer as TransactionalProducer
from confluent_kafka import TopicPartition as ClientPartition

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaProducer,
    AiokafkaReader,
    ConfluentConsumer,
    ConfluentProducer,
    ConfluentReader,
    Consumer,
    ConsumerOptions,
    MemoryBroker,
    MemoryConsumer,
    MemoryProducer,
    MemoryReader,
    OutgoingRecord,
    Position,
    Producer,
    Record,
    TopicPartition,
    TopicReader,
)
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kallback.kafka.offsets.record_buffer import RecordBuffer
    from kallback.testing.topics import TopicFactory

Started = TypeVar("Started", bound="Producer | Consumer | TopicReader")

QUIET = ConsumerOptions(commit_interval=1000, drain_timeout=5)
"""No commit by the clock: what is committed in a test is what the test did."""


class Lab(ABC):
    """Makes topics, producers, consumers and readers of one client, and stops them all."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.started: list[Producer | Consumer | TopicReader] = []
        self._sender: Producer | None = None

    @abstractmethod
    def topic(self, partitions: int = 1) -> str:
        """Make a topic."""

    @abstractmethod
    def new_producer(self) -> Producer:
        """Make a producer, not started."""

    @abstractmethod
    def new_consumer(self, topic: str, group: str, options: ConsumerOptions) -> Consumer:
        """Make a consumer, not started."""

    @abstractmethod
    def new_reader(self, topic: str, since_ms: int | None = None) -> TopicReader:
        """Make a reader, not started."""

    async def crash(self, consumer: Consumer) -> None:
        """End a consumer without committing, as a killed process ends."""
        with patch.object(buffer_of(consumer), "commits", return_value={}):
            await consumer.stop()

    quiet = QUIET

    @staticmethod
    def new_group() -> str:
        """Return a group that nobody has used."""
        return f"g-{uuid.uuid4().hex[:8]}"

    @staticmethod
    async def receive(consumer: Consumer, count: int, *, patience: float = 30) -> list[Record]:
        """Fetch exactly `count` records, or fail saying how many came."""
        records: list[Record] = []
        deadline = time.monotonic() + patience
        while len(records) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"waited {patience} s for {count} records, got {len(records)}"
            records += await consumer.fetch(count - len(records), left)
        return records

    @staticmethod
    async def until(condition: Callable[[], bool], what: str, *, patience: float = 30) -> None:
        """Look at a condition until it holds, or fail saying what was waited for."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"waited {patience} s for {what}"
            await asyncio.sleep(0.02)

    @staticmethod
    def values(records: list[Record]) -> list[str]:
        """Return the records' values as text."""
        return [(record.value or b"").decode() for record in records]

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return a group's commit positions, of the partitions that have one."""
        return {number: commit.position for number, commit in (await self.commits(group, topic)).items()}

    @abstractmethod
    async def commits(self, group: str, topic: str) -> dict[int, Commit]:
        """Return what a group has committed, of the partitions of which it has."""

    @abstractmethod
    async def commit(self, group: str, topic: str, commit: Commit) -> None:
        """Commit for the first partition of a group without members."""

    async def producer(self) -> Producer:
        """Start a producer."""
        return await self.start(self.new_producer())

    async def consumer(self, topic: str, group: str | None = None, options: ConsumerOptions = QUIET) -> Consumer:
        """Start a consumer."""
        return await self.start(self.new_consumer(topic, group or self.new_group(), options))

    async def reader(self, topic: str, since_ms: int | None = None) -> TopicReader:
        """Start a reader."""
        return await self.start(self.new_reader(topic, since_ms))

    async def send(self, topic: str, *values: str, key: str | None = "k") -> list[Position]:
        """Send values at once, in order."""
        self._sender = producer = self._sender or await self.producer()
        sends = [
            producer.send(OutgoingRecord(topic, value.encode(), key.encode() if key else None)) for value in values
        ]
        return await asyncio.gather(*sends)

    async def stop(self) -> None:
        """Stop everything that was started."""
        for each in reversed(self.started):
            await each.stop()

    async def start(self, each: Started) -> Started:
        """Start what `stop` stops."""
        await each.start()
        self.started.append(each)
        return each


class MemoryLab(Lab):
    """Everything in memory."""

    def __init__(self) -> None:
        super().__init__("memory")
        self.broker = MemoryBroker()

    def topic(self, partitions: int = 1) -> str:
        """Make a topic."""
        name = f"t-{uuid.uuid4().hex[:8]}"
        self.broker.create_topic(name, partitions=partitions)
        return name

    def new_producer(self) -> Producer:
        """Make a producer, not started."""
        return MemoryProducer(self.broker)

    def new_consumer(self, topic: str, group: str, options: ConsumerOptions) -> Consumer:
        """Make a consumer, not started."""
        return MemoryConsumer(self.broker, [topic], group, options=options)

    def new_reader(self, topic: str, since_ms: int | None = None) -> TopicReader:
        """Make a reader, not started."""
        return MemoryReader(self.broker, topic, since_ms=since_ms)

    async def crash(self, consumer: Consumer) -> None:
        """End a consumer without committing."""
        assert isinstance(consumer, MemoryConsumer)
        await consumer.crash()

    async def commits(self, group: str, topic: str) -> dict[int, Commit]:
        """Ask the broker in memory."""
        texts = self.broker.metadata(group, topic)
        return {number: Commit(at, texts[number]) for number, at in self.broker.committed(group, topic).items()}

    async def commit(self, group: str, topic: str, commit: Commit) -> None:
        """Tell the broker in memory."""
        self.broker.group(group).commits[TopicPartition(topic, 0)] = commit


class RealLab(Lab):
    """A client on a real Kafka."""

    def __init__(self, kind: str, settings: KafkaSettings, topics: TopicFactory) -> None:
        super().__init__(kind)
        self.settings = settings
        self.topics = topics

    def topic(self, partitions: int = 1) -> str:
        """Make a topic."""
        return self.topics("conformance", partitions=partitions)

    def new_producer(self) -> Producer:
        """Make a producer, not started."""
        kind = ConfluentProducer if self.kind == "confluent" else AiokafkaProducer
        return kind(self.settings)

    def new_consumer(self, topic: str, group: str, options: ConsumerOptions) -> Consumer:
        """Make a consumer, not started."""
        kind = ConfluentConsumer if self.kind == "confluent" else AiokafkaConsumer
        return kind(self.settings, [topic], group, options=options)

    def new_reader(self, topic: str, since_ms: int | None = None) -> TopicReader:
        """Make a reader, not started."""
        kind = ConfluentReader if self.kind == "confluent" else AiokafkaReader
        return kind(self.settings, topic, since_ms=since_ms)

    async def commits(self, group: str, topic: str) -> dict[int, Commit]:
        """Ask Kafka, without joining the group."""
        asker = Client({"bootstrap.servers": self.settings.bootstrap_servers, "group.id": group})
        partitions = [
            ClientPartition(topic, number) for number in asker.list_topics(topic, 10).topics[topic].partitions
        ]
        found = await asyncio.to_thread(asker.committed, partitions, 10)
        asker.close()
        return {each.partition: Commit(each.offset, each.metadata or "") for each in found if each.offset >= 0}

    async def commit(self, group: str, topic: str, commit: Commit) -> None:
        """Tell Kafka, as a group without members."""
        client = Client({"bootstrap.servers": self.settings.bootstrap_servers, "group.id": group})
        offsets = [ClientPartition(topic, 0, commit.position, commit.metadata)]
        await asyncio.to_thread(client.commit, offsets=offsets, asynchronous=False)
        client.close()


@contextlib.contextmanager
def transaction(settings: KafkaSettings, topic: str, *values: str, abort: bool = False) -> Iterator[None]:
    """Write values in a transaction that is open inside the block, and committed or aborted at its end."""
    producer = TransactionalProducer(
        {"bootstrap.servers": settings.bootstrap_servers, "transactional.id": uuid.uuid4().hex, "log_level": 3}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value.encode())
    producer.flush(30)
    yield
    if abort:
        producer.abort_transaction(30)
    else:
        producer.commit_transaction(30)


def buffer_of(consumer: Consumer) -> RecordBuffer:
    """Return the buffer of a real client, which knows what is to be committed."""
    if isinstance(consumer, ConfluentConsumer):
        assert consumer._thread is not None
        return consumer._thread.buffer
    assert isinstance(consumer, AiokafkaConsumer)
    return consumer._buffer
