"""Where the dead-letter commands get their Kafka clients: real ones, or those in click's context object (tests)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from kallback import kafka
from kallback.kafka import FindRecords, Hidden, Missing, Position, Producer, Record, TopicReader
from kallback.settings import KafkaSettings

if TYPE_CHECKING:
    from kallback.kafka.dead_letters.replay import ReadRange


@dataclass(frozen=True, slots=True)
class KafkaFactories:
    """Makes Kafka clients.

    Attributes:
        reader: reads a topic from a time on (epoch milliseconds), or from its beginning.
        find: returns the record at a position; None if it no longer exists.
        find_many: looks many records up.
        list_topics: the names of the topics that exist and are not hidden.
        find_missing: returns which of some topics do not exist or are hidden, with one question for all.
        read_range: reads the records of a range of offsets of a topic that still exist; None: no summary is replayed.
    """

    reader: Callable[[str, int | None], TopicReader]
    find: Callable[[Position], Awaitable[Record | None]]
    find_many: FindRecords
    producer: Callable[[], Producer]
    list_topics: Callable[[], Awaitable[frozenset[str]]]
    find_missing: Callable[[Iterable[str]], Awaitable[list[Missing | Hidden]]]
    read_range: ReadRange | None = None


def factories_for(settings: KafkaSettings) -> KafkaFactories:
    """Return the context's factories, else those of confluent-kafka, which the bridge extra installs."""
    return click.get_current_context().find_object(KafkaFactories) or confluent_factories(settings)


def confluent_factories(settings: KafkaSettings) -> KafkaFactories:
    """Return factories of confluent-kafka."""
    return KafkaFactories(
        reader=lambda topic, since_ms: kafka.ConfluentReader(settings, topic, since_ms=since_ms),
        find=lambda position: kafka.find_record(settings, position),
        find_many=partial(kafka.find_records, settings),
        producer=lambda: kafka.ConfluentProducer(settings),
        list_topics=lambda: kafka.list_topics(settings),
        find_missing=lambda names: kafka.find_missing(settings, names),
        read_range=lambda topic, offsets: kafka.read_range(
            settings, Position(topic, offsets.partition, offsets.first), offsets.end
        ),
    )
