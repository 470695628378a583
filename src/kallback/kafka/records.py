"""Records as Kafka knows them, without a client's own types.

`msgspec.Struct` and not a dataclass, because a record is built for each message and a frozen dataclass of nine fields
costs several times as much; outside of garbage collection, because none of them can be part of a cycle, and thousands
are in flight. A repr shows the position only: headers hold tokens, values are private.
"""

from __future__ import annotations

from typing import Final

import msgspec

UNREADABLE: Final = "unreadable"
"""The reason for which a record that the client could not read is dead-lettered."""

Headers = tuple[tuple[str, bytes | None], ...]
"""Ordered, duplicates allowed, a value may be None: byte for byte what Kafka holds."""


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """Why the client cannot read a record, and how many offsets that concerns.

    Attributes:
        detail: what is wrong with it, in a few words.
        count: offsets from the record's own on that are covered: 1, or those of a whole batch.
    """

    detail: str
    count: int = 1


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as received.

    Attributes:
        epoch: names the assignment of its partition under which it was handed out.
        deliveries: how often the record is started, this time included; more than once if processes that started it
            died. Always 1 without `ConsumerOptions.commit_metadata`.
        unreadable: set if the client could not read the record: then key, value and headers are empty, and it can
            only be dead-lettered as a stub. It has its place among the other records and is settled like them.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    epoch: int = 0
    deliveries: int = 1
    unreadable: Unreadable | None = None

    @property
    def next_offset(self) -> int:
        """Where reading goes on after it."""
        return self.offset + 1 if self.unreadable is None else self.offset + self.unreadable.count

    def __repr__(self) -> str:
        return f"Record({self.topic}[{self.partition}]@{self.offset} epoch={self.epoch})"


class OutgoingRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to send. A value of None is a tombstone; the partition follows from the key."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()

    def __repr__(self) -> str:
        size = 0 if self.value is None else len(self.value)
        return f"OutgoingRecord({self.topic}, {size} bytes)"


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where Kafka put a record."""

    topic: str
    partition: int
    offset: int


class TopicPartition(msgspec.Struct, frozen=True, order=True, gc=False):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


def unreadable_record(partition: TopicPartition, offset: int, epoch: int, why: Unreadable) -> Record:
    """Return the record that takes the place of one that the client cannot read; its timestamp is unknown (-1)."""
    return Record(partition.topic, partition.partition, offset, -1, None, None, (), epoch, unreadable=why)
