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
from confluent_kafka import KafkaException
from confluent_kafka import Producer as RawProducer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from confluent_kafka.cimpl import NewTopic

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaReader,
    ConfluentConsumer,
    ConfluentReader,
    Consumer,
    ConsumerOptions,
    EndOffsets,
    KafkaClients,
    MemoryBroker,
    MemoryClients,
    MemoryConsumer,
    OutgoingRecord,
    Position,
    Producer,
    ProducerOptions,
    Record,
    TopicPartition,
    TopicReader,
    client_of,
    clients_of,
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

    def __init__(self, kind: str, clients: KafkaClients) -> None:
        self.kind = kind
        self.clients = clients
        self.started: list[Producer | Consumer | TopicReader] = []
        self._sender: Producer | None = None

    @abstractmethod
    def topic(self, partitions: int = 1) -> str:
        """Make a topic."""

    def new_producer(self, options: ProducerOptions | None = None) -> Producer:
        """Make a producer, not started."""
        return self.clients.producer(options)

    def new_consumer(self, topic: str, group: str, options: ConsumerOptions) -> Consumer:
        """Make a consumer, not started."""
        return self.clients.consumer([topic], group, options)

    def new_end_offsets(self) -> EndOffsets:
        """Make what asks where topics end."""
        return self.clients.end_offsets()

    def new_reader(self, topic: str, since_ms: int | None = None) -> TopicReader:
        """Make a reader, not started."""
        return self.clients.reader(topic, since_ms)

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
    async def receive(consumer: Consumer, count: int, *, patience: float = 60) -> list[Record]:
        """Fetch exactly `count` records, or fail saying how many came."""
        records: list[Record] = []
        deadline = time.monotonic() + patience
        while len(records) < count:
            left = deadline - time.monotonic()
            assert left > 0, f"waited {patience} s for {count} records, got {len(records)}"
            records += await consumer.fetch(count - len(records), left)
        return records

    @staticmethod
    async def until(condition: Callable[[], bool], what: str, *, patience: float = 60) -> None:
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

    async def producer(self, options: ProducerOptions | None = None) -> Producer:
        """Start a producer."""
        return await self.start(self.new_producer(options))

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
        self.broker = MemoryBroker()
        super().__init__("memory", MemoryClients(self.broker))

    def topic(self, partitions: int = 1) -> str:
        """Make a topic."""
        name = f"t-{uuid.uuid4().hex[:8]}"
        self.broker.create_topic(name, partitions=partitions)
        return name

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
        super().__init__(kind, clients_of(client_of(kind), settings))
        self.settings = settings
        self.topics = topics
        self._admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers, "log_level": 0})

    def topic(self, partitions: int = 1) -> str:
        """Make a topic."""
        return self.topics("conformance", partitions=partitions)

    async def fetch(self, client: Consumer | TopicReader) -> list[Record]:
        """Fetch what is there from a consumer or a reader, and settle it."""
        if isinstance(client, ConfluentReader | AiokafkaReader):
            return await client.fetch(0.5)
        assert isinstance(client, ConfluentConsumer | AiokafkaConsumer)
        records = await client.fetch(100, 0.5)
        for record in records:
            client.done(record)
        return records

    async def drain(self, client: Consumer) -> None:
        """Fetch and settle until cancelled."""
        while True:
            await self.fetch(client)

    async def recreate(self, topic: str, partitions: int = 1) -> None:
        """Delete a topic and create another one of its name at once."""
        await self.delete(topic)
        await self.create(topic, partitions)

    async def delete(self, topic: str) -> None:
        """Delete a topic."""
        await asyncio.to_thread(self._admin.delete_topics([topic])[topic].result)

    async def create(self, topic: str, partitions: int = 1) -> None:
        """Create a topic of this very name, as soon as Kafka has forgotten the former one."""
        deadline = time.monotonic() + 60
        while True:
            try:
                new = NewTopic(topic, partitions, 1)
                await asyncio.to_thread(self._admin.create_topics([new])[topic].result)
                break
            except KafkaException:
                assert time.monotonic() < deadline, f"{topic} cannot be created"
                await asyncio.sleep(0.1)
        self.topics.make([topic], partitions=partitions)  # waits until it is visible
        if self._sender is not None:
            await self._sender.stop()
            self._sender = None

    async def grow(self, topic: str, partitions: int) -> None:
        """Add partitions up to a number."""
        await asyncio.to_thread(self._admin.create_partitions([NewPartitions(topic, partitions)])[topic].result)

    async def send_to(self, topic: str, partition: int, value: str) -> None:
        """Send one value to one partition, which may be new."""
        client = RawProducer({"bootstrap.servers": self.settings.bootstrap_servers, "log_level": 0})
        delivered: list[object] = []
        deadline = time.monotonic() + 60
        while not any(each is None for each in delivered):
            assert time.monotonic() < deadline, f"nothing can be sent to {topic}[{partition}]: {delivered}"
            with contextlib.suppress(KafkaException):
                client.produce(topic, value.encode(), partition=partition, on_delivery=lambda e, _: delivered.append(e))
                await asyncio.to_thread(client.flush, 5)

    async def delete_records(self, topic: str, before: int) -> None:
        """Delete the records of the first partition below an offset."""
        at = ClientPartition(topic, 0, before)
        await asyncio.to_thread(self._admin.delete_records([at])[at].result)

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
    producer = RawProducer(
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
