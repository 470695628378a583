"""Dead letters whose value was too large to be kept: their records are read where they came from.

A replay has many of them, so their records are looked up together. Everything in a stub is hostile: of a record, only
what has the time and the size that the stub names is kept, and `Replayer` bounds the sizes of what it asks for at once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from kallback.kafka.dead_letters.writer import original_headers
from kallback.kafka.records import TOO_MANY_HEADERS, UNREADABLE, Position
from kallback.protocol.errors import KallbackError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from kallback.kafka.dead_letters.reader import DeadLetter
    from kallback.kafka.records import Record

    FindRecord = Callable[[Position], Awaitable[Record | None]]

T = TypeVar("T")

_NEVER_READ: Final = {UNREADABLE: "the Kafka client cannot read", TOO_MANY_HEADERS: "kallback does not read"}


class FindRecords(Protocol):
    """Looks many records up, and keeps of each what `keep` returns; those that do not exist any more are left out."""

    async def __call__(self, positions: Iterable[Position], keep: Callable[[Record], T], /) -> Mapping[Position, T]:
        """Return what is kept, by position."""
        ...


@dataclass(frozen=True, slots=True)
class MissingValue:
    """The record of a stub cannot be read any more; says why."""

    why: str


async def recover(letter: DeadLetter, find: FindRecord) -> DeadLetter | MissingValue:
    """Return the dead letter with its record whole: the record of a stub is read at its original position.

    The topic may have been created anew since: a record of another time or size is another record.
    """
    found, failed = dict[Position, "Record | None"](), dict[str, KallbackError]()
    if _is_looked_up(letter):
        try:
            if (record := await find(letter.source)) is not None:
                found[letter.source] = record
        except KallbackError as error:
            failed[letter.source.topic] = error
    return _recovered(letter, found, failed)


async def recover_all(letters: Sequence[DeadLetter], find: FindRecords) -> list[DeadLetter | MissingValue]:
    """Return what `recover` returns of each, in their order, with one look-up for each topic."""
    wanted = defaultdict[str, defaultdict[Position, set[tuple[int, int | None]]]](lambda: defaultdict(set))
    for letter in letters:
        if _is_looked_up(letter):
            wanted[letter.source.topic][letter.source].add(_mark_of(letter))
    found, failed = dict[Position, "Record | None"](), dict[str, KallbackError]()
    for topic, own in wanted.items():

        def keep(record: Record, own: Mapping[Position, set[tuple[int, int | None]]] = own) -> Record | None:
            mark = (record.timestamp_ms, len(record.value or b""))
            return record if mark in own.get(Position(record.topic, record.partition, record.offset), ()) else None

        try:
            found |= await find(own, keep)
        except KallbackError as error:
            failed[topic] = error
    return [_recovered(letter, found, failed) for letter in letters]


def _recovered(
    letter: DeadLetter, found: Mapping[Position, Record | None], failed: Mapping[str, KallbackError]
) -> DeadLetter | MissingValue:
    if not _is_looked_up(letter):
        return _as_it_is(letter)
    said = f"its value was too large to be kept, and {letter.source}"
    if (error := failed.get(letter.source.topic)) is not None:
        return MissingValue(f"{said} cannot be read: {error}")
    return (
        _joined(letter, found[letter.source]) if letter.source in found else MissingValue(f"{said} is gone (retention)")
    )


def _is_looked_up(letter: DeadLetter) -> bool:
    return letter.stub_bytes is not None and letter.reason not in _NEVER_READ


def _as_it_is(letter: DeadLetter) -> DeadLetter | MissingValue:
    if letter.stub_bytes is None:
        return letter
    return MissingValue(f"{_NEVER_READ[letter.reason]} {letter.source} ({letter.detail})")


def _mark_of(letter: DeadLetter) -> tuple[int, int | None]:
    return letter.source_ms, letter.stub_bytes


def _joined(letter: DeadLetter, record: Record | None) -> DeadLetter | MissingValue:
    """The letter with its record; None is a record of another time or size."""
    if record is None or (record.timestamp_ms, len(record.value or b"")) != _mark_of(letter):
        return MissingValue(f"its value was too large to be kept, and another record is at {letter.source} now")
    return replace(
        letter, key=record.key, value=record.value, headers=original_headers(record.headers), stub_bytes=None
    )
