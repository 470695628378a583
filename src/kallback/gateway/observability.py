"""`/metrics`, `/livez` and `/readyz` of one gateway.

It is *ready* while it listens. An outage of Kafka does not change that: requests are answered with 503 then, which
tells clients more than a proxy without a server behind it. It is *live* as long as its event loop turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kallback import health
from kallback.gateway.stats import GatewayStats
from kallback.health import Phase
from kallback.health.exposition import build_of, exposition, family_of
from kallback.health.running_probes import RunningProbes

PREFIX: Final = "kallback_gateway_"


class ObservedGateway(Protocol):
    """A gateway, as its probes and metrics see it."""

    @property
    def stats(self) -> GatewayStats:
        """Counters."""
        ...

    @property
    def phase(self) -> Phase:
        """Where in its life it is."""
        ...


class GatewayCollector(Collector):
    """Reads one gateway at each scrape."""

    def __init__(self, gateway: ObservedGateway) -> None:
        self._gateway = gateway

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before a gateway is there to be read."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        stats = self._gateway.stats
        requests = CounterMetricFamily(f"{PREFIX}requests", "Answered requests.", labels=("action", "outcome"))
        for labels, count in stats.requests.items():
            requests.add_metric(labels, count)
        yield requests
        yield GaugeMetricFamily(f"{PREFIX}connections", "Open connections.", stats.connections)
        text = "Connections that were closed because there were too many."
        yield CounterMetricFamily(f"{PREFIX}closed_connections", text, stats.closed_connections)
        yield GaugeMetricFamily(f"{PREFIX}buffered_bytes", "Bytes of bodies in memory.", stats.buffered_bytes)
        text = "From a checked request to Kafka's acknowledgement."
        yield family_of(f"{PREFIX}write_latency_seconds", text, "action", stats.latencies)
        ready = float(self._gateway.phase is Phase.RUNNING)
        yield GaugeMetricFamily(f"{PREFIX}ready", "1 if /readyz says yes.", ready)
        yield build_of(PREFIX)


class GatewayHealthServer(health.ProbeServer):
    """Serves the health of a gateway.

    Args:
        gateway: what is looked at; need not be started.
        port: 0 takes a free one, see `port`.
        host: address to listen on. Default loopback: there is neither TLS nor a login here.
    """

    def __init__(self, gateway: ObservedGateway, port: int, host: str = health.LOOPBACK) -> None:
        super().__init__(RunningProbes("gateway", gateway), exposition(GatewayCollector(gateway)), port, host)
