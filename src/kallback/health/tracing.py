"""Trace contexts of records. Needs OpenTelemetry's API only: a service or worker may have another exporter than ours.

A record carries a W3C trace context in two headers. Each hop continues it: the service creates the task, the worker
runs it, the bridge completes it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_S: Final = 5.0
"""How long a stop waits until the last spans are sent."""
_CONTEXT: Final = TraceContextTextMapPropagator()


def context_of(traceparent: str | None, tracestate: str | None) -> Context | None:
    """The context that two headers carry; None for no valid one."""
    texts = {"traceparent": traceparent, "tracestate": tracestate}
    found = _CONTEXT.extract({name: text for name, text in texts.items() if text is not None}, Context())
    return found if trace.get_current_span(found).get_span_context().is_valid else None


def headers_of(span: trace.Span) -> tuple[str | None, str | None]:
    """`traceparent` and `tracestate` of a span, for a record that continues its trace."""
    carrier = dict[str, str]()
    _CONTEXT.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get("traceparent"), carrier.get("tracestate")


async def shut_down(provider: TracerProvider, timeout: float) -> None:  # noqa: ASYNC109 - one bound for a thread's work
    """Send what is left within so many seconds: the process does not wait for a collector that is not there."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # the loop has not waited
            loop.call_soon_threadsafe(over.set)

    threading.Thread(target=end, name="kallback-tracing-end", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await over.wait()
