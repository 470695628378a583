"""Selects dead letters and makes one row of each.

The task type is what the record claims: the header `kallback-type` of a task, else the type inside the token. It is not
verified, a forged record can claim any type. It serves for filters and for display only.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from kallback.cli.dead_letters.contents import Replay, begin_of
from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.cli.formatting import moment, plain, redact, size
from kallback.kafka import DeadLetter, DeadLetterId, Position, read_entry
from kallback.kafka.dead_letters.reader import read_batches
from kallback.protocol import UnverifiedError, read_result, values_of
from kallback.protocol.headers import TYPE
from kallback.protocol.tokens import PARTS

HEADINGS: Final = ("ID", "WRITTEN", "REASON", "SOURCE", "TYPE", "SIZE")
"""Names of the cells of `Row.line`."""
_LONGEST_CELL: Final = 300
"""Characters: more than a position or a reason has; the writer of the record chooses them."""
_TYPE_IN_TOKEN: Final = re.compile(rf"kb1:{PARTS['kid']}:({PARTS['type']}):", re.ASCII)
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
    """A dead letter in a long list: neither its value nor its headers."""

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
    records: int = 1

    def line(self) -> tuple[str, ...]:
        """The cells of a line for people."""
        shown_size = f"{size(self.size)} (stub)" if self.is_stub else size(self.size)
        if self.records > 1:
            shown_size += f" ({self.records:,} records)"
        cells = (str(self.id), moment(self.at_ms), self.reason, str(self.source), self.task_type or "-", shown_size)
        return tuple(plain(redact(cell)[:_LONGEST_CELL]) for cell in cells)

    def members(self, replay: Replay | None) -> dict[str, Any]:
        """The members of a line for programs."""
        operator = None if replay is None else replay.operator
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
            "records": self.records,
            "replayed_at": None if replay is None else replay.at_ms,
            "replayed_by": None if operator is None else operator.by,
            "replayed_why": None if operator is None else operator.why or None,
        }


def replay_words(replay: Replay | None) -> str:
    """When a dead letter was replayed, by whom and why."""
    if replay is None:
        return "not yet"
    said = replay.operator
    return plain(moment(replay.at_ms) if said is None else said.sentence(moment(replay.at_ms)))


async def read_rows(clients: KafkaFactories, topic: str, selection: Selection) -> AsyncGenerator[list[Row]]:
    """Read the topic; one list for each batch that Kafka returned: its selected dead letters, in the order read."""
    async with aclosing(read_batches(clients.reader(topic, begin_of(selection.since_ms)))) as batches:
        async for records in batches:
            letters = (entry for entry in map(read_entry, records) if isinstance(entry, DeadLetter))
            yield [row for row in map(row_of, letters) if selection.admits(row)]


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
        letter.count,
    )


def task_type_of(letter: DeadLetter) -> str | None:
    """Return the task type that the record claims; None if it claims none, or something that cannot be one."""
    types = values_of(letter.headers, TYPE)
    if len(types) == 1 and len(types[0]) <= _LONGEST_TYPE and types[0].isascii():
        return types[0].decode()
    try:
        claimed = _TYPE_IN_TOKEN.match(read_result(letter.value, letter.headers).token)
    except UnverifiedError:
        return None
    return None if claimed is None else claimed[1]
