"""The metrics of a service process in the format of Prometheus. `docs/observability.md` explains them.

prometheus_client.REGISTRY.register(SdkCollector(callbacks.counts))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kallback.health.exposition import build_of, family_of
from kallback.sdk.observability.counts import SdkCounts

PREFIX: Final = "kallback_sdk_"


class SdkCollector(Collector):
    """Reads the counts of one `Callbacks` at each scrape."""

    def __init__(self, counts: SdkCounts) -> None:
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before a task is sent."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        counts = self._counts
        yield _counter(
            "attempts_sent", "Task records that Kafka has acknowledged.", ("task_type",), counts.attempts_sent
        )
        text = "Task records that Kafka did not acknowledge at one try."
        yield _counter("send_failures", text, ("task_type",), counts.send_failures)
        text = "Attempts without a result that counts."
        yield _counter("attempts_ended", text, ("task_type", "reason"), counts.attempts_ended)
        yield _counter("tasks_ended", "Tasks by outcome.", ("task_type", "outcome"), counts.tasks_ended)
        waiting = GaugeMetricFamily(f"{PREFIX}waiting_tasks", "Tasks that handlers wait for.", labels=("task_type",))
        for task_type, count in counts.waiting().items():
            waiting.add_metric((task_type,), count)
        yield waiting
        text = "From the creation of a task to its end."
        yield family_of(f"{PREFIX}task_duration_seconds", text, "task_type", dict(counts.durations))
        yield build_of(PREFIX)


def _counter(
    name: str, text: str, labels: tuple[str, ...], counts: Mapping[str, int] | Mapping[tuple[str, str], int]
) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for key, count in dict(counts).items():
        family.add_metric((key,) if isinstance(key, str) else key, count)
    return family
