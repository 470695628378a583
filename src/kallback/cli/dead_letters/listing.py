"""Selects dead letters and keeps one row for each.

The task type is what the record claims: the header `kallback-type` of a task, else the type inside the token. It is not
verified, a forged record can claim any type. It serves for filters and for display only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.cli.formatting import moment, plain, redact, size
from kallback.kafka import DeadLetter, DeadLetterId, Position, UnknownEntry, read_entries
from kallback.protocol import UnverifiedError, read_claims, read_result, values_of
from kallback.protocol.headers import TYPE

_SKEW_MS: Final = 300_000
"""The clocks of brokers and processes differ: reading begins this much before the wanted time."""
HEADINGS: Final = ("ID", "WRITTEN", "REASON", "SOURCE", "TYPE", "SIZE")
"""Names of the cells of `Row.line`."""
_LONGEST_TYPE: Final = 128
"""Characters; a longer header is not a task type."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The wanted dead letters; an empty set means any. Times are when a letter was written, in epoch milliseconds."""

    ids: frozenset[DeadLetterId] = frozenset()
    reasons: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None

    def admits(self, row: Row) -> bool:
        """Whether a letter is wanted."""
        return (
            (not self.ids or row.id in self.ids)
            and (not self.reasons or row.reason in self.reasons)
            and (not self.types or row.task_type in self.types)
            and (not self.topics or row.source.topic in self.topics)
            and (self.since_ms is None or row.at_ms >= self.since_ms)
            and (self.until_ms is None or row.at_ms < self.until_ms)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of a dead letter in a long list: neither its value nor its headers."""

    id: DeadLetterId
    reason: str
    detail: str
    at_ms: int
    written_ms: int
    source: Position
    source_ms: int
    group: str
    task_type: str | None
    size: int
    is_stub: bool

    def line(self) -> tuple[str, ...]:
        """The cells of a line for people."""
        shown_size = f"{size(self.size)} (stub)" if self.is_stub else size(self.size)
        source = f"{self.source.topic}/{self.source.partition}@{self.source.offset}"
        cells = (str(self.id), moment(self.at_ms), self.reason, source, self.task_type or "-", shown_size)
        return tuple(plain(cell) for cell in cells)

    def members(self, replayed_ms: int | None) -> dict[str, Any]:
        """The members of a line for programs."""
        return {
            "id": str(self.id),
            "at": self.at_ms,
            "reason": redact(self.reason),
            "detail": redact(self.detail),
            "source": {
                "topic": redact(self.source.topic),
                "partition": self.source.partition,
                "offset": self.source.offset,
                "timestamp": self.source_ms,
            },
            "group": redact(self.group),
            "type": self.task_type,
            "size": self.size,
            "stub": self.is_stub,
            "replayed_at": replayed_ms,
        }


@dataclass(slots=True)
class Listing:
    """The contents of the dead-letter topic.

    Attributes:
        rows: the selected letters, oldest first.
        replayed: when a letter was replayed, in epoch milliseconds.
        reasons: number of all letters that were read, by reason.
        unknown: number of records that kallback did not write.
    """

    rows: list[Row] = field(default_factory=list[Row])
    replayed: dict[DeadLetterId, int] = field(default_factory=dict[DeadLetterId, int])
    reasons: Counter[str] = field(default_factory=Counter[str])
    unknown: int = 0


async def read_listing(clients: KafkaFactories, topic: str, selection: Selection) -> Listing:
    """Read every dead letter once."""
    found = Listing()
    since_ms = None if selection.since_ms is None else max(0, selection.since_ms - _SKEW_MS)
    async with aclosing(read_entries(clients.reader(topic, since_ms))) as entries:
        async for entry in entries:
            if isinstance(entry, DeadLetter):
                row = row_of(entry)
                found.reasons[row.reason] += 1
                if selection.admits(row):
                    found.rows.append(row)
            elif isinstance(entry, UnknownEntry):
                found.unknown += 1
            else:
                found.replayed |= dict.fromkeys(entry.letters, entry.at_ms)
    found.rows.sort(key=lambda row: (row.at_ms, row.id))
    return found


async def letters_of(clients: KafkaFactories, topic: str, rows: list[Row]) -> AsyncGenerator[DeadLetter]:
    """Read the letters of some rows again, with their values and headers."""
    wanted = {row.id for row in rows}
    since_ms = min(row.written_ms for row in rows)
    async with aclosing(read_entries(clients.reader(topic, since_ms))) as entries:
        async for entry in entries:
            if isinstance(entry, DeadLetter) and entry.id in wanted:
                wanted.remove(entry.id)
                yield entry
                if not wanted:
                    return


def row_of(letter: DeadLetter) -> Row:
    """Return the letter without value and headers."""
    return Row(
        letter.id,
        letter.reason,
        letter.detail,
        letter.at_ms,
        letter.written_ms,
        letter.source,
        letter.source_ms,
        letter.group,
        task_type_of(letter),
        len(letter.value or b"") if letter.stub_bytes is None else letter.stub_bytes,
        letter.stub_bytes is not None,
    )


def task_type_of(letter: DeadLetter) -> str | None:
    """Return the task type that the record claims; None if it claims none, or something that cannot be one."""
    types = values_of(letter.headers, TYPE)
    if len(types) == 1 and len(types[0]) <= _LONGEST_TYPE and types[0].isascii():
        return types[0].decode()
    try:
        return read_claims(read_result(letter.value, letter.headers).token).token.task_type
    except UnverifiedError:
        return None
