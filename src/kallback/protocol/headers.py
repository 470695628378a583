"""Names of the record headers, and how a header is read from what any Kafka client hands over.

Header values are UTF-8. A header may stand more than once, and may be null: Kafka allows both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kallback.protocol.errors import UnverifiedError
from kallback.protocol.outcomes import Unverified

Headers = Iterable[tuple[str, bytes | None]]

VERSION: Final = "kallback-version"
TOKEN: Final = "kallback-token"  # noqa: S105 - a header's name
TASK_ID: Final = "kallback-task-id"
ATTEMPT: Final = "kallback-attempt"
TYPE: Final = "kallback-type"
REPLY_TO: Final = "kallback-reply-to"
DEADLINE: Final = "kallback-deadline"
START_BY: Final = "kallback-start-by"
PROGRESS_TO: Final = "kallback-progress-to"
HEARTBEAT_EVERY: Final = "kallback-heartbeat-every"
CANCEL_HASH: Final = "kallback-cancel-hash"
LAST_DETAILS: Final = "kallback-last-details"
HAND_BACK: Final = "kallback-hand-back"
RETRY_LOST: Final = "kallback-retry-lost"
SIGNAL: Final = "kallback-signal"
AT: Final = "kallback-at"
PARTITIONS: Final = "kallback-partitions"
STATUS: Final = "kallback-status"
BY: Final = "kallback-by"
WHY: Final = "kallback-why"
CONTENT_TYPE: Final = "content-type"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
SPRING_CORRELATION_ID: Final = "kafka_correlationId"
SPRING_REPLY_TOPIC: Final = "kafka_replyTopic"
NESTJS_ERROR: Final = "kafka_nest-err"
SPRING_ERROR: Final = "serverSentAnError"
DEAD_REASON: Final = "kallback-dead-reason"

WIRE_VERSION: Final = "1"
JSON: Final = "application/json"


MAX_HEADERS: Final = 500
"""Headers of one record that are looked at. The kit writes 16; tracing and frameworks add a few tens."""
MAX_HEADER_BYTES: Final = 262_144
"""Bytes of all names and values together: 16 KiB of heartbeat details, and a framework's stack trace."""


def excess_of(headers: Headers) -> str | None:
    """Say what of a record's headers is beyond the bounds; None if nothing is.

    Ask before anything else is looked at: anyone who may write to a topic chooses the number of headers.
    """
    pairs = headers if isinstance(headers, tuple) else tuple(headers)
    if len(pairs) > MAX_HEADERS:
        return excess(len(pairs), 0)
    return excess(len(pairs), sum([len(name) + len(value or b"") for name, value in pairs]))


def excess(count: int, size: int) -> str | None:
    """Say the same of a number of headers, and of the bytes of their names and values."""
    if count > MAX_HEADERS:
        return f"the record has {count} headers, {MAX_HEADERS} are the most"
    if size > MAX_HEADER_BYTES:
        return f"the record has {size} bytes of headers, {MAX_HEADER_BYTES} are the most"
    return None


def refuse_excess(headers: Headers) -> None:
    """Refuse a record whose headers are beyond the bounds.

    Raises:
        UnverifiedError: too many, or too many bytes; with reason `too-many-headers`.
    """
    excess = excess_of(headers)
    if excess is not None:
        raise UnverifiedError(Unverified.TOO_MANY_HEADERS, excess)


def values_of(headers: Headers, name: str) -> list[bytes]:
    """The distinct values of one header, in order; null values do not count."""
    return list(dict.fromkeys(value for key, value in headers if key == name and value is not None))
