"""Where a worker's Kafka clients come from: a seam of four methods, so that a broker in memory can stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from kallback import kafka
from kallback.kafka import Consumer, ConsumerOptions, Producer, TopicReader
from kallback.protocol.errors import ConfigurationError
from kallback.settings import KafkaSettings


class Client(StrEnum):
    """The Kafka client of a worker."""

    AIOKAFKA = "aiokafka"
    """Pure Python on the event loop; the default."""
    CONFLUENT = "confluent"
    """librdkafka: cooperative rebalances, heartbeats from a thread of its own, which a blocked loop does not stop."""


ClientName = Literal["aiokafka", "confluent"]


class KafkaClients(Protocol):
    """Makes the clients of one worker; none of them is started."""

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> Consumer:
        """Return a new member of a group."""
        ...

    def producer(self) -> Producer:
        """Return a new producer."""
        ...

    def reader(self, topic: str, since_ms: int) -> TopicReader:
        """Return a new reader of a whole topic, from a time on (epoch milliseconds)."""
        ...

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Make sure that topics exist.

        Raises:
            MissingTopicError: one does not; the sentence names the command that makes it.
        """
        ...


@dataclass(frozen=True, slots=True)
class AiokafkaClients:
    """Clients on aiokafka.

    Raises:
        MissingExtraError: when one is asked for and aiokafka is not installed.
    """

    settings: KafkaSettings

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> Consumer:
        """Return a new member of a group."""
        return kafka.AiokafkaConsumer(self.settings, topics, group, options=options)

    def producer(self) -> Producer:
        """Return a new producer."""
        return kafka.AiokafkaProducer(self.settings)

    def reader(self, topic: str, since_ms: int) -> TopicReader:
        """Return a new reader of a whole topic."""
        return kafka.AiokafkaReader(self.settings, topic, since_ms=since_ms)

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Make sure that topics exist."""
        await kafka.check_topics(self.settings, topics)


@dataclass(frozen=True, slots=True)
class ConfluentClients:
    """Clients on librdkafka.

    Raises:
        MissingExtraError: when one is asked for and confluent-kafka is not installed.
    """

    settings: KafkaSettings

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> Consumer:
        """Return a new member of a group."""
        return kafka.ConfluentConsumer(self.settings, topics, group, options=options)

    def producer(self) -> Producer:
        """Return a new producer."""
        return kafka.ConfluentProducer(self.settings)

    def reader(self, topic: str, since_ms: int) -> TopicReader:
        """Return a new reader of a whole topic."""
        return kafka.ConfluentReader(self.settings, topic, since_ms=since_ms)

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Make sure that topics exist."""
        await kafka.check_topics(self.settings, topics)


def client_of(name: str) -> Client:
    """The client of this name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return Client(name)
    except ValueError:
        raise ConfigurationError(f"client={name!r} is not known: write 'aiokafka' or 'confluent'") from None


def clients_of(client: Client, settings: KafkaSettings) -> KafkaClients:
    """What makes the clients."""
    match client:
        case Client.AIOKAFKA:
            return AiokafkaClients(settings)
        case Client.CONFLUENT:
            return ConfluentClients(settings)
