"""Spans of tasks in a service: *create* and *send* in the handler's trace, and *wait*, from the creation to the end.

A span cannot stay open while a handler is suspended, so each one is made when it is over. *Create* is made inside the
journaled step that creates the task, and its context travels with the record: worker and bridge continue it.
"""

from __future__ import annotations

import time
from typing import Final

from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from kallback.health.tracing import context_of, headers_of
from kallback.protocol import TaskId
from kallback.sdk.observability.counts import TaskEnd

CREATE: Final = "kallback.sdk create"
SEND: Final = "kallback.sdk send"
WAIT: Final = "kallback.sdk wait"
TraceHeaders = tuple[str | None, str | None]
"""`traceparent` and `tracestate`."""


class SdkSpans:
    """Makes the spans of one `Callbacks`; the provider's owner shuts it down."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer: Final = provider.get_tracer("kallback.sdk")

    def created(self, task_type: str, task_id: TaskId, count: int, parent: TraceHeaders) -> TraceHeaders:
        """Tasks are created together; returns what their records carry."""
        attributes = _attributes("create", task_type, task_id) | {"messaging.batch.message_count": str(count)}
        span = self._tracer.start_span(CREATE, context_of(*parent), SpanKind.PRODUCER, attributes)
        span.end()
        return headers_of(span)

    def sent(self, task_type: str, task_id: TaskId, parent: TraceHeaders, seconds: float, error: str | None) -> None:
        """A step that sends a task has ended after so many seconds."""
        end = time.time_ns()
        attributes, begun = _attributes("send", task_type, task_id), end - int(seconds * 1e9)
        span = self._tracer.start_span(SEND, context_of(*parent), SpanKind.CLIENT, attributes, start_time=begun)
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(end)

    def ended(self, task_type: str, task_id: TaskId, parent: TraceHeaders, created_ms: int, end: TaskEnd) -> None:
        """A handler got the outcome of a task."""
        attributes = _attributes("wait", task_type, task_id) | {"kallback.task.outcome": end.value}
        begun = created_ms * 1_000_000
        span = self._tracer.start_span(WAIT, context_of(*parent), SpanKind.INTERNAL, attributes, start_time=begun)
        if end is not TaskEnd.COMPLETED:
            span.set_status(Status(StatusCode.ERROR, end.value))
        span.end()


def _attributes(operation: str, task_type: str, task_id: TaskId) -> dict[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "kallback.task.type": task_type,
        "kallback.task.id": task_id,
    }
