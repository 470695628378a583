"""Spans to an OTLP collector. Needs the extra "otel"."""

from __future__ import annotations

from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from kallback.health.tracing import FLUSH_S, shut_down
from kallback.lifecycle import StartStop


class OtlpSpans(StartStop):
    """Spans to an OTLP collector over HTTP, in batches, from a thread; `OTEL_*` variables say where and which.

    Args:
        service: name of this process, unless `OTEL_SERVICE_NAME` gives one.
    """

    def __init__(self, service: str) -> None:
        named = Resource({"service.name": service})
        self.provider: Final = TracerProvider(
            resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Send what is left, within 5 s; stopping twice is fine."""
        await shut_down(self.provider, FLUSH_S)
