"""One OpenTelemetry span for each result record that carries a `traceparent`: the last hop of a task's trace.

    tracing = otlp_tracing(group)
    async with tracing:
        await Bridge(settings, on_settled=tracing.settled).run()

The span covers the time from the fetch of the record to its outcome. It is made afterwards, in `on_settled`: a bridge
without tracing imports nothing and does nothing per record. Records that are not authenticated leave no span, because
their `traceparent` could name any trace. OpenTelemetry's own variables, `OTEL_EXPORTER_OTLP_ENDPOINT` and the others,
say where spans go, which are sampled, and under which name.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from kallback.bridge.stats import Settled
from kallback.health.otlp import OtlpSpans
from kallback.health.tracing import FLUSH_S, context_of, shut_down
from kallback.kafka import Record
from kallback.protocol import Outcome, Token
from kallback.protocol.headers import TRACEPARENT, TRACESTATE

SPAN: Final = "kallback.bridge complete"
_GOOD: Final = frozenset({Outcome.DELIVERED, Outcome.DUPLICATE})


def otlp_tracing(group: str) -> Tracing:
    """Spans to an OTLP collector over HTTP, in batches, from a thread."""
    return Tracing(OtlpSpans("kallback-bridge").provider, group)


class Tracing:
    """Makes spans of settled records.

    Args:
        provider: where spans go; `stop` shuts it down.
        group: consumer group of the bridge.
        flush: seconds that `stop` waits until the last spans are sent.
    """

    def __init__(self, provider: TracerProvider, group: str, *, flush: float = FLUSH_S) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("kallback.bridge")
        self._group = group
        self._flush = flush

    def settled(self, settled: Settled) -> None:
        """Make the span of one record, if it is part of a trace; for `Bridge(on_settled=...)`."""
        carrier = None if settled.target is None else _carrier(settled.record)
        if carrier is None:
            return
        parent = context_of(carrier.get(TRACEPARENT), carrier.get(TRACESTATE))
        if parent is None:
            return
        end = time.time_ns()
        span = self._tracer.start_span(
            SPAN,
            parent,
            SpanKind.CONSUMER,
            self._attributes(settled),
            start_time=end - int((time.monotonic() - settled.since) * 1e9),
        )
        if settled.outcome not in _GOOD:
            span.set_status(Status(StatusCode.ERROR, settled.reason))
        span.end(end)

    async def stop(self) -> None:
        """Send what is left, within `flush` seconds; stopping twice is fine."""
        await shut_down(self._provider, self._flush)

    def _attributes(self, settled: Settled) -> dict[str, AttributeValue]:
        record, target = settled.record, settled.target
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "complete",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group,
            "kallback.outcome": settled.outcome.value,
        }
        if settled.reason is not None:
            attributes["kallback.reason"] = settled.reason
        if isinstance(target, Token):
            attributes["kallback.task.type"] = target.task_type
            attributes["kallback.task.id"] = target.task_id
            attributes["kallback.task.attempt"] = target.attempt
        return attributes

    async def __aenter__(self) -> Self:
        """Nothing to start."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()


def _carrier(record: Record) -> dict[str, str] | None:
    found = {
        name: value.decode("ascii", "replace")
        for name, value in record.headers
        if value is not None and name in {TRACEPARENT, TRACESTATE}
    }
    return found if TRACEPARENT in found else None
