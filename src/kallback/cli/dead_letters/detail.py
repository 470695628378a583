"""One dead letter in full, for people: what it is, why it died, what can be done. Tokens are shortened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from kallback.cli.dead_letters.reasons import ADVICE, UNKNOWN
from kallback.cli.dead_letters.rows import row_of
from kallback.cli.formatting import moment, plain, readable, size, span
from kallback.kafka import DeadLetter, MissingValue
from kallback.protocol import shorten
from kallback.protocol.headers import SPRING_CORRELATION_ID, TOKEN

_TOKEN_HEADERS: Final = frozenset({TOKEN, SPRING_CORRELATION_ID})
_LONGEST_LINE: Final = 400
_LONGEST_VALUE: Final = 2000
_WIDTH: Final = 100


def view(
    letter: DeadLetter, whole: DeadLetter | MissingValue, *, replayed_ms: int | None, now_ms: int
) -> Iterator[str]:
    """The lines of a letter; `whole` is the same letter with its record, where that could be had."""
    row = row_of(letter)
    advice = ADVICE.get(letter.reason, UNKNOWN)
    yield f"dead letter {letter.id}"
    yield from _facts(
        died=f"{moment(letter.at_ms)}, {span(now_ms - letter.at_ms)} ago, buried by {letter.group or 'nobody known'}",
        reason=letter.reason,
        detail=letter.detail or "-",
        source=f"{letter.source.topic}/{letter.source.partition}@{letter.source.offset}, {moment(letter.source_ms)}",
        type=f"{row.task_type} (so the record says)" if row.task_type else "unknown",
        replayed="not yet" if replayed_ms is None else moment(replayed_ms),
    )
    yield ""
    yield _paragraph("meaning   ", advice.meaning)
    yield _paragraph("what now  ", advice.remedy)
    yield ""
    if isinstance(whole, MissingValue):
        yield _paragraph("", f"The record cannot be replayed: {plain(whole.why)}.")
    else:
        yield from _record(whole, from_source=letter.stub_bytes is not None)


def _paragraph(head: str, text: str) -> str:
    return click.wrap_text(text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _facts(**facts: str) -> Iterator[str]:
    for name, text in facts.items():
        yield f"  {name:<8}  {plain(text)}"


def _record(letter: DeadLetter, *, from_source: bool) -> Iterator[str]:
    if from_source:
        yield "The value was too large to be kept; the record still lies where it came from, and this is that one."
    yield f"key       {'none' if letter.key is None else readable(letter.key, longest=_LONGEST_LINE)}"
    yield "headers" if letter.headers else "headers   none"
    width = max((len(name) for name, _ in letter.headers), default=0)
    for name, value in letter.headers:
        yield f"  {plain(name):<{width}}  {_header(name, value)}"
    if letter.value is None:
        yield "value     none (a tombstone)"
        return
    cut = "; --raw-value FILE writes all of it" if len(letter.value) > _LONGEST_VALUE else ""
    yield f"value     {size(len(letter.value))}{cut}"
    yield from _value(letter.value)


def _header(name: str, value: bytes | None) -> str:
    if value is None:
        return "(null)"
    return (
        shorten(value.decode("utf-8", "replace")) if name in _TOKEN_HEADERS else readable(value, longest=_LONGEST_LINE)
    )


def _value(value: bytes) -> Iterator[str]:
    text = readable(value, longest=_LONGEST_VALUE, lines=True)
    for line in text.splitlines():
        yield f"  {line}"
