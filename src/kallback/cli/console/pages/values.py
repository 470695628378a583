"""Values on pages: times, positions, payloads and headers, each bounded in length."""

from __future__ import annotations

from typing import Final

from kallback.cli.console.pages.layout import facts, table, trouble
from kallback.cli.console.pages.markup import Content, Markup, element
from kallback.cli.formatting import moment, readable, size
from kallback.durations import span
from kallback.kafka import Headers, Position, Record
from kallback.protocol.headers import (
    CONTENT_TYPE,
    LAST_DETAILS,
    SPRING_CORRELATION_ID,
    SPRING_REPLY_TOPIC,
    TRACEPARENT,
    TRACESTATE,
)

REFRESH_S: Final = 5
"""Seconds after which a browser reads a page again."""
_LONGEST: Final = 20_000
"""Characters of a value on a page."""
_LONGEST_HEADER: Final = 300
_MOST_HEADERS: Final = 100
_OWN: Final = "kallback-"
_MASKED: Final = "hidden (--mask-payloads)"
_SHOWN_ALWAYS: Final = frozenset({CONTENT_TYPE, TRACEPARENT, TRACESTATE, SPRING_CORRELATION_ID, SPRING_REPLY_TOPIC})
"""Headers without anything of a payload, beside those of kallback: applications and frameworks put values into others,
such as the text of an exception."""


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


def record_parts(title: str, record: Record | str, *, mask: bool) -> list[Markup]:
    """Return what a record holds, or why it cannot be shown."""
    if isinstance(record, str):
        return [element("h2", title), trouble(record)]
    shown = _headers(record.headers, mask=mask)
    headers: list[list[Content]] = [[element("code", name), value] for name, value in shown]
    key = "none" if record.key is None else readable(record.key, longest=_LONGEST_HEADER)
    return [
        element("h2", title),
        facts((("Key", key), ("Size", size(len(record.value or b""))))),
        payload(record.value or b"", mask=mask),
        element("h2", "Headers"),
        table("Headers; tokens are shortened", ["Name", "Value"], headers),
    ]


def _headers(headers: Headers, *, mask: bool) -> list[tuple[str, str]]:
    return [
        (name[:_LONGEST_HEADER], _MASKED if mask and _is_payload(name) else _header_value(value))
        for name, value in list(headers)[:_MOST_HEADERS]
    ]


def _header_value(value: bytes | None) -> str:
    return "null" if value is None else readable(value, longest=_LONGEST_HEADER)


def _is_payload(name: str) -> bool:
    """Whether a header may have a part of a payload: details of heartbeats, and what others write."""
    is_own = name.startswith(_OWN) and name != LAST_DETAILS
    return not (is_own or name in _SHOWN_ALWAYS)
