"""The metrics of a worker in the format of Prometheus, read at each scrape. `docs/observability.md` explains them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kallback.health.exposition import build_of, family_of
from kallback.kafka import PartitionStatus, TopicPartition, lag_value
from kallback.workers.observability.stats import WatchedWorker

PREFIX: Final = "kallback_worker_"


class WorkerCollector(Collector):
    """Reads one worker.

    Args:
        worker: what is read.
        is_ready: what `/readyz` says.
    """

    def __init__(self, worker: WatchedWorker, is_ready: Callable[[], bool]) -> None:
        self._worker = worker
        self._is_ready = is_ready

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before a worker is there to be read."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._tasks()
        yield from self._kafka()
        yield _gauge("ready", "1 if /readyz says yes.", float(self._is_ready()))
        yield build_of(PREFIX)

    def _tasks(self) -> Iterator[Metric]:
        worker, running = self._worker, self._worker.running()
        records = CounterMetricFamily(f"{PREFIX}records", "Task records by what became of them.", labels=("outcome",))
        for each in dataclasses.fields(worker.counts):
            records.add_metric((each.name,), getattr(worker.counts, each.name))
        yield records
        now = GaugeMetricFamily(f"{PREFIX}running_tasks", "Tasks that run.", labels=("task_type",))
        for task_type, count in running.by_type.items():
            now.add_metric((task_type,), count)
        yield now
        held = GaugeMetricFamily(f"{PREFIX}held_back_records", "Records that wait in this worker.", labels=("reason",))
        for reason, count in running.held_back.items():
            held.add_metric((reason,), count)
        yield held
        yield _gauge("slots", "Tasks that may run at once.", running.slots)
        yield _gauge("oldest_running_seconds", "Since the oldest running task began.", running.oldest)
        text = "From the begin of a function to its end."
        yield family_of(f"{PREFIX}task_duration_seconds", text, "task_type", worker.durations)

    def _kafka(self) -> Iterator[Metric]:
        status = self._worker.group_status()
        partitions: Mapping[TopicPartition, PartitionStatus] = {} if status is None else status.partitions
        lags = GaugeMetricFamily(
            f"{PREFIX}partition_lag_records",
            "Offsets not settled; NaN if unknown.",
            labels=("topic", "partition"),
        )
        for each in sorted(partitions):
            lags.add_metric((each.topic, str(each.partition)), lag_value(partitions[each].lag))
        yield lags
        unknown = 0 if status is None else status.unknown_lags
        yield _gauge("partitions_lag_unknown", "Partitions that this worker owns whose lag is unknown (NaN).", unknown)
        stalled = 0 if status is None else len(status.stalled)
        yield _gauge("partitions_stalled", "Partitions that are not read although they have records.", stalled)
        yield _gauge("assigned_partitions", "Partitions that this worker owns.", len(partitions))
        rebalances = 0 if status is None else status.rebalances
        yield CounterMetricFamily(f"{PREFIX}rebalances", "Assignments by the group.", rebalances)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value)
