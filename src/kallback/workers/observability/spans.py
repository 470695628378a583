"""Spans of attempts: one from the start of the function to the acknowledgement of its result.

The span is the current one while the function runs, so that spans of the function's own join it: on the loop, in
threads, and in child processes, which get its context. The result carries its context, too, so the bridge's span joins.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from enum import StrEnum
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from kallback.health.tracing import context_of, headers_of
from kallback.kafka import Record
from kallback.protocol.tasks import TaskHeaders

RUN: Final = "kallback.worker run"
_GOOD: Final = frozenset({"completed", "handed-back", "cancelled"})


class TraceParent(StrEnum):
    """How the span of an attempt belongs to the trace of its caller."""

    CHILD = "child"
    """It is a part of it."""
    LINK = "link"
    """It begins a trace of its own, with a link: for tasks of hours, or callers with another sampling."""


class AttemptSpan:
    """The span of one attempt.

    Attributes:
        headers: of the task, with the trace context of this span.
    """

    def __init__(self, span: Span, headers: TaskHeaders) -> None:
        self._span: Final = span
        traceparent, tracestate = headers_of(span)
        self.headers: Final = replace(headers, traceparent=traceparent, tracestate=tracestate)

    def running(self) -> AbstractContextManager[Span]:
        """Make it the current span, and end it."""
        return trace.use_span(self._span, end_on_exit=True, record_exception=False, set_status_on_exception=False)

    def ended(self, outcome: str) -> None:
        """Say what became of the attempt."""
        self._span.set_attribute("kallback.task.outcome", outcome)
        if outcome not in _GOOD:
            self._span.set_status(Status(StatusCode.ERROR, outcome))


class WorkerSpans:
    """Makes the spans of one worker; the provider's owner shuts it down."""

    def __init__(self, provider: TracerProvider, group: str, parent: TraceParent) -> None:
        self._tracer: Final = provider.get_tracer("kallback.workers")
        self._group: Final = group
        self._parent: Final = parent

    def start(self, record: Record, headers: TaskHeaders) -> AttemptSpan:
        """Begin the span of an attempt."""
        caller = context_of(headers.traceparent, headers.tracestate)
        links = list[Link]()
        if caller is not None and self._parent is TraceParent.LINK:
            links.append(Link(trace.get_current_span(caller).get_span_context()))
            caller = None
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "run",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group,
            "kallback.task.type": headers.task_type,
            "kallback.task.id": headers.task_id,
            "kallback.task.attempt": headers.attempt,
        }
        span = self._tracer.start_span(RUN, caller or Context(), SpanKind.CONSUMER, attributes, links)
        return AttemptSpan(span, headers)


def attach_to(traceparent: str | None, tracestate: str | None) -> None:
    """In a child process: what follows belongs to the span of the attempt."""
    attach(context_of(traceparent, tracestate) or Context())
