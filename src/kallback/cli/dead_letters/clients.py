"""What the dead-letter commands touch Kafka with: real clients, or what a test puts into click's context object."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import click

from kallback import kafka
from kallback.kafka import Position, Producer, Record, TopicReader
from kallback.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Clients:
    """Makers of clients.

    Attributes:
        reader: reads a topic since a time (epoch milliseconds), or from its beginning.
        find: returns the record at a position, None if it is gone.
        check_topics: raises `MissingTopicError`.
    """

    reader: Callable[[str, int | None], TopicReader]
    find: Callable[[Position], Awaitable[Record | None]]
    producer: Callable[[], Producer]
    check_topics: Callable[[Iterable[str]], Awaitable[None]]


def clients_for(settings: KafkaSettings) -> Clients:
    """The context's clients, else confluent-kafka's: the bridge's extra is all that an operator needs."""
    given = click.get_current_context().find_object(Clients)
    return given or Clients(
        reader=lambda topic, since_ms: kafka.ConfluentReader(settings, topic, since_ms=since_ms),
        find=lambda position: kafka.find_record(settings, position),
        producer=lambda: kafka.ConfluentProducer(settings),
        check_topics=lambda names: kafka.check_topics(settings, names),
    )
