"""Where the commands get their connections: real ones, or those in click's context object (tests)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

import click

from kallback import kafka
from kallback.kafka import FindRecords, Producer, TopicReader
from kallback.operations import FindRecord, Introspection, RowSource
from kallback.settings import Settings


@dataclass(frozen=True, slots=True)
class OperationsFactories:
    """Makes connections.

    Attributes:
        introspection: to Restate's admin API.
        find: returns the record at a position.
        find_many: looks many records up.
        producer: to the topics.
        reader: reads a topic from a time on (epoch milliseconds), or from its beginning.
    """

    introspection: Callable[[], AbstractAsyncContextManager[RowSource]]
    find: FindRecord
    find_many: FindRecords
    producer: Callable[[], Producer]
    reader: Callable[[str, int | None], TopicReader]


def operations_factories(settings: Settings) -> OperationsFactories:
    """Return the context's factories, else real ones, which the bridge extra installs."""
    given = click.get_current_context().find_object(OperationsFactories)
    return given or OperationsFactories(
        introspection=lambda: Introspection(settings.restate),
        find=lambda position: kafka.find_record(settings.kafka, position),
        find_many=partial(kafka.find_records, settings.kafka),
        producer=lambda: kafka.ConfluentProducer(settings.kafka),
        reader=lambda topic, since_ms: kafka.ConfluentReader(settings.kafka, topic, since_ms=since_ms),
    )
