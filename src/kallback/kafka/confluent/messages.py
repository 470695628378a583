"""librdkafka's messages as records, also those that its Python binding cannot decode."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.records import Headers, Record, TopicPartition, Unreadable, memory_of, unreadable_record

if TYPE_CHECKING:
    from confluent_kafka import Message

_HEADERS: Final = operator.methodcaller("headers")
"""Calls `headers()` with the interpreter's check of the result. A plain call that Python has specialized goes without:
then the binding's error shows up at a later, unrelated call, and the broken list that it returned is used."""


def record_of(message: Message, partition: TopicPartition, offset: int, epoch: int) -> Record:
    """Return a message as a record; its headers are tuples already, and hold bytes (text is for producers).

    A header name that is not UTF-8 makes the binding raise (SystemError in all versions so far). Other clients can
    write such names, so this is an unreadable record and not a failure of the consumer.
    """
    try:
        headers: Headers = tuple(cast("list[tuple[str, bytes | None]]", _HEADERS(message) or ()))
    except (SystemError, ValueError) as error:
        why = Unreadable(f"a header name is not UTF-8 ({type(error).__name__})")
        return unreadable_record(partition, offset, epoch, why)
    key, value = message.key(), message.value()
    return Record(
        partition.topic,
        partition.partition,
        offset,
        message.timestamp()[1],
        key,
        value,
        headers,
        epoch,
        size=memory_of(key, value, headers),
    )
