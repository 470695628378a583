"""Spans of settled records."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Clocks, Settled
from kallback.bridge.observability.tracing import SPAN, Tracing, otlp_tracing
from kallback.kafka import OutgoingRecord

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01".encode())


def traced(record: OutgoingRecord, *headers: tuple[str, bytes | None]) -> OutgoingRecord:
    """The same record with trace headers."""
    return OutgoingRecord(record.topic, record.value, record.key, (*record.headers, *(headers or (TRACEPARENT,))))


def both(*functions: Callable[[Settled], None]) -> Callable[[Settled], None]:
    """Call one after the other."""

    def call(settled: Settled) -> None:
        for function in functions:
            function(settled)

    return call


async def spans_of(env: BridgeEnv, *records: OutgoingRecord) -> list[ReadableSpan]:
    """What a bridge with tracing leaves behind."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with Tracing(provider, "group") as tracing:
        env.on_settled = both(tracing.settled, env.settled.append)
        for record in records:
            env.broker.append(record)
        async with env.bridge():
            await env.settle(len(records))
        return list(exporter.get_finished_spans())


async def test_a_span_joins_the_records_trace(env: BridgeEnv, make: RecordFactory) -> None:
    """Parent, kind, and what the record was."""
    token = make.token()
    (span,) = await spans_of(env, traced(make.completed(make.sign(token))))
    assert span.name == SPAN == "kallback.bridge complete"
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)
    assert span.kind is SpanKind.CONSUMER
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "complete",
        "messaging.operation.type": "process",
        "messaging.destination.name": "kallback.results",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.consumer.group.name": "group",
        "kallback.outcome": "delivered",
        "kallback.task.type": "kitchen.prepare",
        "kallback.task.id": token.task_id,
        "kallback.task.attempt": 1,
    }


async def test_a_span_lasts_from_fetch_to_outcome(env: BridgeEnv, make: RecordFactory) -> None:
    """In real time, whatever the record's timestamp says."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider, "group")
    env.broker.append(traced(make.completed()))
    async with env.bridge():
        (settled,) = await env.settle(1)
    before = time.time_ns()
    tracing.settled(type(settled)(settled.record, settled.outcome, None, settled.target, time.monotonic() - 2.0))
    (span,) = exporter.get_finished_spans()
    assert span.start_time is not None
    assert span.end_time is not None
    assert 2.0 <= (span.end_time - span.start_time) / 1e9 < 2.5
    assert span.end_time >= before


async def test_a_dead_letter_is_an_error(env: BridgeEnv, make: RecordFactory) -> None:
    """With the reason."""
    (span,) = await spans_of(env, traced(make.completed(value=b"oops")))
    assert span.status.status_code is StatusCode.ERROR
    attributes = span.attributes or {}
    assert (attributes["kallback.outcome"], attributes["kallback.reason"]) == ("unusable", "not-json")


@pytest.mark.parametrize(
    "headers",
    [
        (("content-type", b"x"),),
        (("traceparent", None),),
        (("traceparent", b"nonsense"),),
        (("traceparent", b"\xff\xfe"),),
        (("traceparent", f"00-{'0' * 32}-{PARENT_ID}-01".encode()),),
        (("tracestate", b"a=1"),),
    ],
)
async def test_no_trace_no_span(
    env: BridgeEnv, make: RecordFactory, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    """The bridge never begins a trace of its own, and bad headers hurt nobody."""
    assert await spans_of(env, traced(make.completed(), *headers)) == []


async def test_a_forged_record_leaves_no_span(env: BridgeEnv, make: RecordFactory) -> None:
    """Nobody writes into another's trace without a key."""
    forged = make.sign()[:-3] + "AAA"
    assert await spans_of(env, traced(make.completed(forged))) == []


async def test_a_trace_that_is_not_sampled_stays_so(env: BridgeEnv, make: RecordFactory) -> None:
    """The caller decides."""
    not_sampled = ("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-00".encode())
    assert await spans_of(env, traced(make.completed(), not_sampled)) == []


class Collector(HTTPServer):
    """Takes spans as an OTLP collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Collecting)
        self.requests: list[ExportTraceServiceRequest] = []


class _Collecting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Generator[Collector]:
    """In a thread."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_spans_arrive_over_otlp(
    env: BridgeEnv, make: RecordFactory, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping sends what is left; the process has a name."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    tracing = otlp_tracing("group")
    env.on_settled = both(tracing.settled, env.settled.append)
    env.broker.append(traced(make.completed()))
    async with tracing, env.bridge():
        await env.settle(1)
    (sent,) = collector.requests[0].resource_spans
    names = {it.key: it.value.string_value for it in sent.resource.attributes}
    assert names["service.name"] == "kallback-bridge"
    assert [span.name for span in sent.scope_spans[0].spans] == [SPAN]


async def test_a_missing_collector_does_not_hold_up_the_end() -> None:
    """Stopping waits for the last spans only so long; stopping twice is fine."""
    released = threading.Event()

    class Stuck(TracerProvider):
        def shutdown(self) -> None:
            released.wait(100)

    tracing = Tracing(Stuck(), "group", flush=0.05)
    try:
        await asyncio.wait_for(tracing.stop(), 60)
        await asyncio.wait_for(tracing.stop(), 60)
    finally:
        released.set()


def test_the_bridges_clock_is_the_one_of_spans() -> None:
    """`Settled.since` is compared with `time.monotonic`."""
    assert Clocks().monotonic is time.monotonic
