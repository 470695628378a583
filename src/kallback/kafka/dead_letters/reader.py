"""The dead-letter topic as it is read back: dead letters, replay markers, and unknown entries.

The id of a dead letter is its partition and offset, `0:57`. A *replay marker* is a record of that topic too: it names
dead letters that were sent again and acknowledged. So an interrupted replay continues where it stopped, on any machine,
and needs nothing but the topic itself. Anything can be written to a topic: reading never raises over a record.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from kallback.kafka.dead_letters.writer import PREFIX, STUB
from kallback.kafka.records import Headers, OutgoingRecord, Position, Record
from kallback.protocol.errors import KafkaUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from kallback.kafka.consumer import TopicReader

REPLAYED: Final = "kallback-dead-replayed"
_PATIENCE: Final = 30.0
_LOOK: Final = 1.0
_ID: Final = re.compile(r"(\d{1,9}):(\d{1,18})", re.ASCII)
_NUMBER: Final = re.compile(rb"-?\d{1,18}")


class DeadLetterId(NamedTuple):
    """The position of a dead letter in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> DeadLetterId | None:
        """Read `PARTITION:OFFSET`; None for anything else."""
        shape = _ID.fullmatch(text)
        return None if shape is None else cls(int(shape[1]), int(shape[2]))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead-lettered record, unchanged, and the reason.

    Attributes:
        written_ms: the letter's own timestamp in Kafka; like the other times in epoch milliseconds.
        at_ms: when it was dead-lettered.
        source: where the record lay.
        source_ms: the record's timestamp there.
        group: the consumer group that dead-lettered it.
        key, value, headers: the record's, byte for byte, without what the burial added. Hidden in repr: headers hold
            tokens, values are private.
        stub_bytes: the size of a value that was too large to be kept; None: the record is whole.
    """

    id: DeadLetterId
    reason: str
    detail: str
    at_ms: int
    written_ms: int
    source: Position
    source_ms: int
    group: str
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False)
    stub_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayMarker:
    """Says that dead letters were replayed."""

    letters: frozenset[DeadLetterId]
    at_ms: int


@dataclass(frozen=True, slots=True)
class UnknownEntry:
    """A record that kallback did not write there."""

    id: DeadLetterId


Entry = DeadLetter | ReplayMarker | UnknownEntry


def read_entry(record: Record) -> Entry:
    """Return what a record of the dead-letter topic is."""
    place = DeadLetterId(record.partition, record.offset)
    facts = {name.removeprefix(PREFIX): value for name, value in record.headers if name.startswith(PREFIX) and value}
    if "replayed" in facts:
        return _replay_marker(record) or UnknownEntry(place)
    numbers = {name: _number(facts.get(name)) for name in ("partition", "offset", "timestamp", "at")}
    if "reason" not in facts or "topic" not in facts or None in numbers.values():
        return UnknownEntry(place)
    found = {name: number or 0 for name, number in numbers.items()}
    stub = dict(record.headers).get(STUB)
    return DeadLetter(
        place,
        _text(facts["reason"]),
        _text(facts.get("detail")),
        found["at"],
        record.timestamp_ms,
        Position(_text(facts["topic"]), found["partition"], found["offset"]),
        found["timestamp"],
        _text(facts.get("group")),
        record.key,
        record.value,
        original_headers(record.headers),
        None if stub is None else _number(stub) or 0,
    )


def original_headers(headers: Headers) -> Headers:
    """Return the headers without those that dead-lettering added."""
    return tuple(header for header in headers if not header[0].startswith(PREFIX))


def replay_marker(topic: str, letters: Iterable[DeadLetterId], at_ms: int) -> OutgoingRecord:
    """Return the record that says that dead letters were replayed."""
    body = {"kallback": 1, "replayed": [str(letter) for letter in letters], "at": at_ms}
    return OutgoingRecord(topic, msgspec.json.encode(body), None, ((REPLAYED, b"1"),))


async def read_entries(
    reader: TopicReader, *, patience: float = _PATIENCE, monotonic: Callable[[], float] = time.monotonic
) -> AsyncGenerator[Entry]:
    """Read what the topic holds now, then end; records that arrive meanwhile may come along.

    Args:
        reader: of the dead-letter topic; not started.
        monotonic: seconds that only grow.
        patience: seconds without any record after which Kafka counts as unavailable.

    Raises:
        MissingTopicError, AccessDeniedError: as `Consumer.start`.
        KafkaUnavailableError: no broker answered, at the start or later.
    """
    async with reader:
        last = monotonic()
        while not reader.caught_up.is_set():
            records = await reader.fetch(_LOOK)
            if records:
                last = monotonic()
            elif monotonic() - last > patience and not reader.caught_up.is_set():
                raise KafkaUnavailableError(
                    f"no record arrived for {patience:g} s: check that Kafka is available, then try again"
                )
            for record in records:
                yield read_entry(record)
            await asyncio.sleep(0)


class _MarkerBody(msgspec.Struct):
    replayed: list[str]
    at: int


_MARKER_BODY: Final = msgspec.json.Decoder(_MarkerBody)


def _replay_marker(record: Record) -> ReplayMarker | None:
    try:
        found = _MARKER_BODY.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    letters = (DeadLetterId.parse(text) for text in found.replayed)
    return ReplayMarker(frozenset(letter for letter in letters if letter is not None), found.at)


def _number(data: bytes | None) -> int | None:
    return int(data) if data is not None and _NUMBER.fullmatch(data) else None


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
