"""Which Kafka client a process uses, and the seam through which all its clients are made.

The classes of one client are imported when that client is chosen, so that a process does not load the other library.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kallback.kafka.consumer import Consumer, ConsumerOptions, TopicReader
    from kallback.kafka.end_offsets import EndOffsets
    from kallback.kafka.producer import Producer, ProducerOptions
    from kallback.settings import KafkaSettings


class Client(StrEnum):
    """The library with which a process reads and writes Kafka."""

    AIOKAFKA = "aiokafka"
    """Pure Python on the event loop: what a record batch unfolds to is bounded for every codec."""
    CONFLUENT = "confluent"
    """librdkafka: heartbeats from a thread of its own, which a blocked loop does not stop."""


ClientName = Literal["aiokafka", "confluent"]


class KafkaClients(Protocol):
    """Makes the Kafka clients of one process; none of them is started."""

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> Consumer:
        """Return a new member of a group."""
        ...

    def producer(self, options: ProducerOptions | None = None) -> Producer:
        """Return a new producer."""
        ...

    def reader(self, topic: str, since_ms: int | None = None, record_bytes: int | None = None) -> TopicReader:
        """Return a new reader of a whole topic.

        Args:
            topic: what it reads.
            since_ms: from which time on, in epoch milliseconds; None: from the beginning.
            record_bytes: larger records need not be returned; None: all are.
        """
        ...

    def end_offsets(self) -> EndOffsets:
        """Return what asks where topics end."""
        ...

    async def list_topics(self) -> frozenset[str]:
        """The names of all topics.

        Raises:
            KafkaUnavailableError: no broker answered.
        """
        ...

    async def check_topics(self, topics: Sequence[str]) -> None:
        """Make sure that topics exist.

        Raises:
            MissingTopicError: one does not; the sentence names the command that makes it.
        """
        ...


def client_of(name: str) -> Client:
    """Return the client of this name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return Client(name)
    except ValueError:
        raise ConfigurationError(f"client={name!r} is not known: write 'aiokafka' or 'confluent'") from None


def clients_of(client: Client, settings: KafkaSettings) -> KafkaClients:
    """Return what makes the clients.

    Raises:
        MissingExtraError: the library is not installed.
    """
    match client:
        case Client.AIOKAFKA:
            from kallback.kafka.aiokafka.clients import AiokafkaClients  # noqa: PLC0415 - see the module's docstring

            return AiokafkaClients(settings)
        case Client.CONFLUENT:
            from kallback.kafka.confluent.clients import ConfluentClients  # noqa: PLC0415 - as above

            return ConfluentClients(settings)
