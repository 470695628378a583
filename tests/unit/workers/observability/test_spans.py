"""Spans of attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kallback.protocol import TaskType
from kallback.workers import TaskFailure

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


def current_context(_request: Any) -> str:
    """The current span, as seen by a function: its trace and span ids."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}-{context.span_id:016x}"


async def span_of(
    env: WorkerEnv, function: Any, *, parent: Literal["child", "link"] = "child", executor: Any = None
) -> tuple[ReadableSpan, Any, dict[str, bytes | None]]:
    """The span that one task leaves, the function's result and the headers of the result record."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    worker = env.worker()
    worker.use_tracing(provider, parent)
    worker.task(TaskType("prepare", request=Any, result=str, topic="orders"), executor=executor)(function)
    env.send(traceparent=TRACEPARENT)
    await worker.start()
    await env.until(exporter.get_finished_spans, "the span")
    await worker.stop()
    (span,), (result,) = exporter.get_finished_spans(), env.broker.records(env.topics.results)
    return span, (result.value or b"").decode().strip('"'), dict(result.headers)


async def on_the_loop(request: Any) -> str:
    """The same in a coroutine."""
    return current_context(request)


@pytest.mark.parametrize(
    ("function", "executor"), [(on_the_loop, None), (current_context, None), (current_context, "process")]
)
async def test_the_span_is_current_where_the_function_runs(env: WorkerEnv, function: Any, executor: Any) -> None:
    """On the loop, in a thread, in a child process; its parent is the caller's, and the result carries it."""
    span, seen, headers = await span_of(env, function, executor=executor)
    own = f"{span.context.trace_id:032x}-{span.context.span_id:016x}"
    assert seen == own
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)
    assert headers["traceparent"] == f"00-{own}-01".encode()
    assert (span.name, span.kind) == ("kallback.worker run", SpanKind.CONSUMER)
    assert (span.attributes or {})["kallback.task.outcome"] == "completed"


async def test_an_attempt_may_begin_a_trace_of_its_own(env: WorkerEnv) -> None:
    """A link names the caller's."""
    span, _, _ = await span_of(env, on_the_loop, parent="link")
    (link,) = span.links
    assert (span.parent, f"{link.context.span_id:016x}") == (None, PARENT_ID)
    assert f"{span.context.trace_id:032x}" != TRACE_ID


async def test_a_failure_is_an_error_of_the_span(env: WorkerEnv) -> None:
    """Its exception is not recorded: it may contain data of the task."""

    async def fails(_request: Any) -> str:
        raise TaskFailure("OvenBroken", "secret", status=503)

    span, _, _ = await span_of(env, fails)
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, "failed", ())
