"""One trace and one count for each task, from the handler to the worker to the bridge, whatever is replayed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import restate
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.integration.end_to_end.environment import TaskPath

from kallback.bridge import Bridge
from kallback.bridge.observability.tracing import Tracing
from kallback.sdk import Callbacks
from kallback.testing import Stack, eventually, serve_endpoint
from kallback.workers import Worker

pytestmark = pytest.mark.integration


async def test_one_trace_leads_from_the_handler_to_the_worker_to_the_bridge(
    path: TaskPath, kallback_stack: Stack
) -> None:
    """The handler is started four times; nothing is counted and nothing is traced twice."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    name = uuid4().hex[:8]
    worker = Worker(f"traced-{name}", settings=path.settings, tracer_provider=provider)
    service, starts = restate.Service(f"Traced{name}"), list[int]()

    @worker.task(path.task_type)
    def work(text: str) -> str:
        with trace.get_tracer(__name__, tracer_provider=provider).start_as_current_span("own work"):
            return text.upper()

    async with Callbacks(path.settings, tracer_provider=provider, services_elsewhere=True) as callbacks:

        @service.handler()
        async def run(ctx: restate.Context, text: str) -> Any:
            starts.append(1)
            done = await callbacks.call(ctx, path.task_type, text)
            await ctx.sleep(timedelta(seconds=0.1))
            if len(starts) < 4:
                raise RuntimeError("so that Restate starts it again")
            return done

        tracing = Tracing(provider, "bridge")
        async with (
            serve_endpoint(restate.app([service]), kallback_stack.restate),
            Bridge(path.settings, on_settled=tracing.settled),
            worker,
        ):
            assert await path.ingress.call(f"{service.name}/run", "soup") == "SOUP"
            await eventually("all spans", lambda: len(exporter.get_finished_spans()) >= 6)
        counts = callbacks.counts
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert len(spans) == len(exporter.get_finished_spans()) == 6
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {trace_of(spans["kallback.sdk create"])}
    assert {name: parent_of(spans, span) for name, span in spans.items()} == {
        "kallback.sdk create": None,
        "kallback.sdk send": "kallback.sdk create",
        "kallback.sdk wait": "kallback.sdk create",
        "kallback.worker run": "kallback.sdk create",
        "own work": "kallback.worker run",
        "kallback.bridge complete": "kallback.worker run",
    }
    task_type = path.task_type.name
    assert (counts.attempts_sent[task_type], dict(counts.tasks_ended)) == (1, {(task_type, "completed"): 1})


def trace_of(span: ReadableSpan) -> str:
    """The id of a span's trace."""
    return f"{span.context.trace_id:032x}"


def parent_of(spans: dict[str, ReadableSpan], span: ReadableSpan) -> str | None:
    """The name of a span's parent."""
    names = {each.context.span_id: name for name, each in spans.items()}
    return None if span.parent is None else names.get(span.parent.span_id)
