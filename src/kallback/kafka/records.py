"""What travels: records as Kafka knows them, without a client's own types.

`msgspec.Struct` and not a dataclass, because a record is built for each message and a frozen dataclass of
nine fields costs several times as much; outside of garbage collection, because none of them can
be part of a cycle, and thousands are in flight. A repr shows the place only: headers hold tokens, values are private.
"""

from __future__ import annotations

import msgspec

Headers = tuple[tuple[str, bytes | None], ...]
"""Ordered, duplicates allowed, a value may be None: byte for byte what Kafka holds."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as received.

    Attributes:
        epoch: names the assignment of its partition under which it was handed out.
        deliveries: how often the record is started, this time included; more than once if processes that started it
            died. Always 1 without `ConsumerOptions.commit_metadata`.
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
