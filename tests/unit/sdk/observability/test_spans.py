"""Spans of a service."""

from __future__ import annotations

from datetime import timedelta

import restate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kallback.protocol import TaskType
from kallback.sdk import TaskFailed
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure

PREPARE = TaskType("prepare", request=str, result=str, timeout=timedelta(hours=1))


async def test_create_send_and_wait_are_one_trace() -> None:
    """The record carries the context of *create*; *wait* covers the time until the outcome."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with HandlerTest(tracer_provider=provider) as test:
        test.worker.on(PREPARE).fails(TaskFailure("OvenBroken", status=422), after=timedelta(minutes=2))

        async def handler(ctx: restate.Context) -> str:
            try:
                return await test.callbacks.call(ctx, PREPARE, "soup")
            except TaskFailed as error:
                return error.type

        assert await test.run(handler) == "OvenBroken"
        (record,) = test.broker.records("prepare")
    create, send, wait = exporter.get_finished_spans()
    assert [span.name for span in (create, send, wait)] == [
        "kallback.sdk create",
        "kallback.sdk send",
        "kallback.sdk wait",
    ]
    assert create.kind is SpanKind.PRODUCER
    assert {span.parent.span_id for span in (send, wait) if span.parent is not None} == {create.context.span_id}
    traceparent = dict(record.headers)["traceparent"] or b""
    assert traceparent.decode().split("-")[1:3] == [f"{create.context.trace_id:032x}", f"{create.context.span_id:016x}"]
    assert (wait.status.status_code, wait.attributes["kallback.task.outcome"]) == (StatusCode.ERROR, "failed")  # type: ignore[index]
