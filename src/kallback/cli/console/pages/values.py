"""Values on pages: times, positions, payloads and headers, each bounded in length."""

from __future__ import annotations

from typing import Final

from kallback.cli.console.pages.layout import facts, table
from kallback.cli.console.pages.markup import Content, Markup, element
from kallback.cli.formatting import moment, readable, size
from kallback.durations import span
from kallback.kafka import Headers, Position, Record

REFRESH_S: Final = 5
"""Seconds after which a browser reads a page again."""
_LONGEST: Final = 20_000
"""Characters of a value on a page."""
_LONGEST_HEADER: Final = 300
_MOST_HEADERS: Final = 100
_MASKED: Final = "hidden (--mask-payloads)"


def place(position: Position) -> str:
    """Return where a record is."""
    return str(position)[:_LONGEST_HEADER]


def when(at_ms: int | None, now_ms: int) -> str:
    """Return a time, and how long ago it was."""
    return "not yet" if at_ms is None else f"{moment(at_ms)} ({span(now_ms - at_ms)} ago)"


def left(deadline_ms: int | None, now_ms: int) -> str:
    """Return how long a deadline is away."""
    if deadline_ms is None:
        return "none"
    milliseconds = deadline_ms - now_ms
    return f"in {span(milliseconds)}" if milliseconds > 0 else f"passed {span(milliseconds)} ago"


def payload(value: bytes, *, mask: bool) -> Markup:
    """Return a value as text."""
    if mask:
        return element("p", _MASKED)
    return element("pre", readable(value, longest=_LONGEST, lines=True), tabindex="0")


def record_parts(title: str, record: Record | None, *, mask: bool) -> list[Markup]:
    """Return what a record holds."""
    if record is None:
        return [element("h2", title), element("p", "The record is not in Kafka any more.")]
    headers: list[list[Content]] = [[element("code", name), value] for name, value in _headers(record.headers)]
    key = "none" if record.key is None else readable(record.key, longest=_LONGEST_HEADER)
    return [
        element("h2", title),
        facts((("Key", key), ("Size", size(len(record.value or b""))))),
        payload(record.value or b"", mask=mask),
        element("h2", "Headers"),
        table("Headers; tokens are shortened", ["Name", "Value"], headers),
    ]


def _headers(headers: Headers) -> list[tuple[str, str]]:
    return [
        (name[:_LONGEST_HEADER], "null" if value is None else readable(value, longest=_LONGEST_HEADER))
        for name, value in list(headers)[:_MOST_HEADERS]
    ]
