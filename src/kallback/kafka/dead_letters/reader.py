"""The dead-letter topic as it is read back: dead letters, replay markers, and unknown entries.

The id of a dead letter is its partition and offset, `0:57`. A *replay marker* is a record of that topic too: it names
dead letters that were sent again and acknowledged. So an interrupted replay continues where it stopped, on any machine,
and needs nothing but the topic itself. Anything can be written to a topic: reading never raises over a record.
"""

from __future__ import annotations

import re
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from kallback.kafka.dead_letters.summaries import SUMMARY, LetterSummary, read_summary
from kallback.kafka.dead_letters.writer import STUB, original_headers
from kallback.kafka.records import Headers, OutgoingRecord, Position, Record
from kallback.protocol.by_hand import Operator
from kallback.protocol.errors import KafkaUnavailableError
from kallback.protocol.values.bounded_reading import read_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from kallback.kafka.consumer import TopicReader

REPLAYED: Final = "kallback-dead-replayed"
REASON: Final = "kallback-dead-reason"
_DETAIL: Final = "kallback-dead-detail"
_TOPIC: Final = "kallback-dead-topic"
_PARTITION: Final = "kallback-dead-partition"
_OFFSET: Final = "kallback-dead-offset"
_TIMESTAMP: Final = "kallback-dead-timestamp"
_AT: Final = "kallback-dead-at"
_GROUP: Final = "kallback-dead-group"
_NUMBERS: Final = (_PARTITION, _OFFSET, _TIMESTAMP, _AT)
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
        key, value, headers: the record's, byte for byte, without what dead-lettering added. Hidden in repr:
            headers hold tokens, values are private.
        stub_bytes: the size of a value that was too large to be kept; None: the record is whole.
        summary: set if it stands for many records: then the record is the first of them.
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
    summary: LetterSummary | None = None

    @property
    def count(self) -> int:
        """The number of records that it stands for."""
        return 1 if self.summary is None else self.summary.count


@dataclass(frozen=True, slots=True)
class ReplayMarker:
    """Says that dead letters were replayed.

    Attributes:
        operator: who replayed them and why, as they said; None if they said nothing.
    """

    letters: frozenset[DeadLetterId]
    at_ms: int
    operator: Operator | None = None


@dataclass(frozen=True, slots=True)
class UnknownEntry:
    """A record that kallback did not write there."""

    id: DeadLetterId


Entry = DeadLetter | ReplayMarker | UnknownEntry


def read_entry(record: Record) -> Entry:
    """Return what a record of the dead-letter topic is."""
    facts = dict(record.headers)
    if facts.get(REPLAYED):
        return marker_of(record) or UnknownEntry(DeadLetterId(record.partition, record.offset))
    if not is_dead_letter(facts):
        return UnknownEntry(DeadLetterId(record.partition, record.offset))
    stub, counted = facts.get(STUB), facts.get(SUMMARY)
    return DeadLetter(
        DeadLetterId(record.partition, record.offset),
        _text(facts[REASON]),
        _text(facts.get(_DETAIL)),
        int(facts[_AT] or b"0"),
        record.timestamp_ms,
        Position(_text(facts[_TOPIC]), int(facts[_PARTITION] or b"0"), int(facts[_OFFSET] or b"0")),
        int(facts[_TIMESTAMP] or b"0"),
        _text(facts.get(_GROUP)),
        record.key,
        record.value,
        original_headers(record.headers),
        None if not stub else _number(stub) or 0,
        None if counted is None else read_summary(counted),
    )


def is_dead_letter(facts: Mapping[str, bytes | None]) -> bool:
    """Whether headers by name are those of a dead letter: `read_entry` without the work."""
    if not facts.get(REASON) or not facts.get(_TOPIC):
        return False
    counted = facts.get(SUMMARY)
    if counted is not None and read_summary(counted) is None:
        return False
    return None not in map(_NUMBER.fullmatch, [facts.get(name) or b"" for name in _NUMBERS])


def marker_of(record: Record) -> ReplayMarker | None:
    """Return the replay marker that a record is; None for any other record."""
    if not any(name == REPLAYED and value for name, value in record.headers):
        return None
    try:
        found = read_json(_MARKER_BODY, record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    letters = (DeadLetterId.parse(text) for text in found.replayed)
    named = frozenset(letter for letter in letters if letter is not None)
    return ReplayMarker(named, found.at, _operator(found.by, found.why))


def replay_marker(
    topic: str, letters: Iterable[DeadLetterId], at_ms: int, operator: Operator | None = None
) -> OutgoingRecord:
    """Return the record that says that dead letters were replayed, and by whom."""
    body: dict[str, object] = {"kallback": 1, "replayed": [str(letter) for letter in letters], "at": at_ms}
    if operator is not None:
        body |= {"by": operator.by, "why": operator.why}
    return OutgoingRecord(topic, msgspec.json.encode(body), None, ((REPLAYED, b"1"),))


def _operator(by: object, why: object) -> Operator | None:
    """Who a marker names; anyone who may write to the topic can write anything."""
    try:
        return Operator(by, why if isinstance(why, str) else "") if isinstance(by, str) else None
    except ValueError:  # too long, or not printable
        return None


async def read_entries(
    reader: TopicReader, *, monotonic: Callable[[], float] = time.monotonic
) -> AsyncGenerator[Entry]:
    """Read what the topic holds now, as `read_batches` does."""
    async with aclosing(read_batches(reader, monotonic=monotonic)) as batches:
        async for records in batches:
            for record in records:
                yield read_entry(record)


async def read_batches(
    reader: TopicReader, *, patience: float = _PATIENCE, monotonic: Callable[[], float] = time.monotonic
) -> AsyncGenerator[list[Record]]:
    """Read what the topic holds now, then end; records that arrive meanwhile may come along.

    Order: that of the offsets within a partition; the partitions are interleaved.

    Args:
        reader: of the dead-letter topic; not started.
        monotonic: seconds that only grow.
        patience: seconds of fetches without any record after which Kafka counts as unavailable.

    Raises:
        MissingTopicError, AccessDeniedError: as `Consumer.start`.
        KafkaUnavailableError: no broker answered, at the start or later.
    """
    async with reader:
        silent = 0.0  # what the caller does between two fetches, such as a replay with a rate, is no silence of Kafka
        while not reader.caught_up.is_set():
            began = monotonic()
            records = await reader.fetch(_LOOK)
            silent = 0.0 if records else silent + monotonic() - began
            if records:
                yield records
                del records  # the next ones are read first
            elif silent > patience and not reader.caught_up.is_set():
                raise KafkaUnavailableError(
                    f"no record arrived for {patience:g} s: check that Kafka is available, then try again"
                )


class _MarkerBody(msgspec.Struct):
    replayed: list[str]
    at: int
    by: object = None
    why: object = None


_MARKER_BODY: Final = msgspec.json.Decoder(_MarkerBody)


def _number(data: bytes | None) -> int | None:
    return int(data) if data is not None and _NUMBER.fullmatch(data) else None


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")
