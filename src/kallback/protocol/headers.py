"""Names of the record headers, and how a header is read from what any Kafka client hands over.

Header values are UTF-8. A header may stand more than once, and may be null: Kafka allows both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

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
LAST_DETAILS: Final = "kallback-last-details"
SIGNAL: Final = "kallback-signal"
AT: Final = "kallback-at"
STATUS: Final = "kallback-status"
CONTENT_TYPE: Final = "content-type"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
SPRING_CORRELATION_ID: Final = "kafka_correlationId"
SPRING_REPLY_TOPIC: Final = "kafka_replyTopic"

WIRE_VERSION: Final = "1"
JSON: Final = "application/json"


def values_of(headers: Headers, name: str) -> list[bytes]:
    """The distinct values of one header, in order; null values do not count."""
    return list(dict.fromkeys(value for key, value in headers if key == name and value is not None))
