"""`/metrics`, `/livez` and `/readyz` of one process that serves a Restate application.

An outage of Kafka or Restate does not change the probes: handlers wait for them. Needs prometheus-client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kallback import health
from kallback.health import Phase
from kallback.health.exposition import build_of, exposition
from kallback.health.running_probes import RunningProbes
from kallback.sdk.observability.counts import SdkCounts
from kallback.sdk.observability.metrics import SdkCollector
from kallback.sdk.serving.stats import ServiceStats

PREFIX: Final = "kallback_service_"


class ServiceCollector(Collector):
    """Reads one server, and what its tasks came to, at each scrape.

    Args:
        stats: of the server.
        counts: of the application's tasks; None: they are not known.
    """

    def __init__(self, stats: ServiceStats, counts: SdkCounts | None) -> None:
        self._stats = stats
        self._tasks = None if counts is None else SdkCollector(counts)

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before a server is there to be read."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        stats = self._stats
        text = "Requests whose answer has begun."
        requests = CounterMetricFamily(f"{PREFIX}requests", text, labels=("service", "handler", "status"))
        for (handler, status), count in stats.requests.items():
            requests.add_metric((*handler, status), count)
        yield requests
        text = "Requests that are being answered."
        running = GaugeMetricFamily(f"{PREFIX}running_handlers", text, labels=("service", "handler"))
        for handler, count in stats.running.items():
            running.add_metric(handler, count)
        yield running
        yield GaugeMetricFamily(f"{PREFIX}connections", "Open connections.", stats.connections)
        yield GaugeMetricFamily(f"{PREFIX}ready", "1 if /readyz says yes.", float(stats.phase is Phase.RUNNING))
        yield build_of(PREFIX)
        if self._tasks is not None:
            yield from self._tasks.collect()


class ServiceHealthServer(health.ProbeServer):
    """Serves the health of a process that serves an application.

    Args:
        counts: of the application's tasks; None: they are not known.
        port: 0 takes a free one, see `port`.
        host: address to listen on. Default loopback: there is neither TLS nor a login here.

    Attributes:
        stats: what is shown; give them to `serve_app`.
    """

    def __init__(self, counts: SdkCounts | None, port: int, host: str = health.LOOPBACK) -> None:
        self.stats: Final = ServiceStats()
        metrics = exposition(ServiceCollector(self.stats, counts))
        super().__init__(RunningProbes("service", self.stats), metrics, port, host)
