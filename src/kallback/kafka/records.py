"""Records as Kafka knows them, without a client's own types.

`msgspec.Struct` and not a dataclass, because a record is built for each message and a frozen dataclass of nine fields
costs several times as much; outside of garbage collection, because none of them can be part of a cycle, and thousands
are in flight. A repr shows the position only: headers hold tokens, values are private.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kallback.protocol.outcomes import Unverified

UNREADABLE: Final = "unreadable"
"""The reason for which a record that the client could not read is dead-lettered."""
TOO_MANY_HEADERS: Final = Unverified.TOO_MANY_HEADERS.value
"""The same for a record whose headers are beyond the bounds of the wire: its content is not handed out."""

RECORD_BYTES: Final = 300
"""What a record takes without key, value and headers: its fields, their objects, and its places in the buffers."""
HEADER_BYTES: Final = 150
"""What a header takes without its name and value: a tuple, a text, bytes, and a place."""

Headers = tuple[tuple[str, bytes | None], ...]
"""Ordered, duplicates allowed, a value may be None: byte for byte what Kafka holds."""


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """Why the client cannot read a record, and how many offsets that concerns.

    Attributes:
        detail: what is wrong with it, in a few words.
        count: offsets from the record's own on that are covered: 1, or those of a whole batch.
        whole_batch: a record batch is damaged, so that none of its records can be read.
        reason: for which the record is dead-lettered.
    """

    detail: str
    count: int = 1
    whole_batch: bool = False
    reason: str = UNREADABLE


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why a consumer's screen refuses a record.

    Attributes:
        reason: fit for a label.
        detail: in a sentence.
        about: what else the screen knows of the record, compared by value; records of one run have the same.
    """

    reason: str
    detail: str
    about: object = None

    def is_like(self, other: Refusal) -> bool:
        """Whether records of both may be handed out as one."""
        return self.reason == other.reason and self.about == other.about


class RefusedRun(msgspec.Struct, gc=False):
    """Records with consecutive offsets that a consumer's screen refuses for one reason.

    It grows until its record is handed out. Only the first record is kept whole.

    Attributes:
        refusal: of the first record; those of the others are like it.
        count: number of records.
        end: the offset after the last one.
        last_ms: timestamp of the last one.
    """

    refusal: Refusal
    count: int
    end: int
    last_ms: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as received.

    Attributes:
        epoch: names the assignment of its partition under which it was handed out.
        deliveries: how often the record is started, this time included; more than once if processes that started it
            died. Always 1 without `ConsumerOptions.commit_metadata`.
        history: the record lies in the history of its partition: it was written before the group had committed anything
            there. Always False without `ConsumerOptions.mark_history`.
        unreadable: set if the client could not read the record, or its headers are beyond the bounds of the wire: then
            key, value and headers are empty, and it can only be dead-lettered as a stub. It has its place among the
            other records and is settled like them.
        refused: set if the consumer's screen refused it (see `Consumer.screen`): then the record stands for a run of
            them, is the first of them, and is settled for all.
        screened: what the consumer's screen found out about the record, for those who passed the screen; else None.
        size: see `size_of`; 0 if it was not measured yet.
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
    history: bool = False
    refused: RefusedRun | None = None
    screened: object = None
    size: int = 0

    @property
    def next_offset(self) -> int:
        """Where reading goes on after it."""
        if self.refused is not None:
            return self.refused.end
        return self.offset + 1 if self.unreadable is None else self.offset + self.unreadable.count

    @property
    def count(self) -> int:
        """How many records it stands for; one that could not be read counts once."""
        return 1 if self.refused is None else self.refused.count

    def __repr__(self) -> str:
        return f"Record({Position(self.topic, self.partition, self.offset)} epoch={self.epoch})"


Screen = Callable[[Sequence[Record]], Sequence[object] | None]
"""Looks at records of one partition; see `Consumer.screen`.

For each of them it returns a `Refusal`, or what it found out (`Record.screened`), or None. None in place of all: it has
not looked.
"""


def size_of(record: Record) -> int:
    """Return what counts of a record where bytes are bounded; its client measures it once, for all who count."""
    return record.size or memory_of(record.key, record.value, record.headers)


def memory_of(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return about what a record of these takes of memory, in bytes.

    These are key, value, headers, and the objects around them: a header of two bytes takes a hundred.
    """
    size = RECORD_BYTES + HEADER_BYTES * len(headers) + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += len(name) + len(content or b"")
    return size


def position_of(record: Record) -> Record:
    """Return a record without key, value and headers."""
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        None,
        None,
        (),
        record.epoch,
        unreadable=record.unreadable,
        refused=record.refused,
    )


class Placement(msgspec.Struct, frozen=True, gc=False):
    """Which partition takes a record that needs no order with others.

    Random keys spread records unevenly: of 200 records on 12 partitions, the fullest partition has about 1.4 times the
    mean. Turns spread them evenly.

    Attributes:
        turn: counts records; consecutive turns go to consecutive partitions.
        avoid: partitions that nothing reads at present; without effect if these are all partitions.
        avoid_if_others: probably the same; without effect if no partition is left beside both.
    """

    turn: int
    avoid: frozenset[int] = frozenset()
    avoid_if_others: frozenset[int] = frozenset()

    def partition_of(self, count: int) -> int:
        """The partition, of a topic with this number of partitions."""
        allowed = self._outside(self.avoid | self.avoid_if_others, count) or self._outside(self.avoid, count)
        allowed = allowed or list(range(count))
        return allowed[self.turn % len(allowed)]

    @staticmethod
    def _outside(avoid: frozenset[int], count: int) -> list[int]:
        return [each for each in range(count) if each not in avoid]


class OutgoingRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to send. A value of None is a tombstone; without a placement, the partition follows from the key."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    placement: Placement | None = None

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value or b"")
        return size

    def __repr__(self) -> str:
        size = 0 if self.value is None else len(self.value)
        return f"OutgoingRecord({self.topic}, {size} bytes)"


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where Kafka put a record."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class TopicPartition(msgspec.Struct, frozen=True, order=True, gc=False):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


def unreadable_record(partition: TopicPartition, offset: int, epoch: int, why: Unreadable) -> Record:
    """Return the record that takes the place of one that the client cannot read; its timestamp is unknown (-1)."""
    return Record(partition.topic, partition.partition, offset, -1, None, None, (), epoch, unreadable=why)
