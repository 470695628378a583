"""The metrics of a worker in the format of Prometheus, read at each scrape. `docs/observability.md` explains them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kallback.health.exposition import build_of, family_of, refused_writes_of
from kallback.kafka import lag_value
from kallback.kafka.group_status import NO_GROUP
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
        counts = worker.counts
        for each in dataclasses.fields(counts):
            if isinstance(count := getattr(counts, each.name), int):
                records.add_metric((each.name,), count)
        yield records
        yield _by_reason("dead_letters", "Task records that were dead-lettered.", counts.dead_letter_reasons)
        yield _by_reason("cancels_refused", "Cancels that are not authentic.", worker.refused_cancels)
        control = CounterMetricFamily(f"{PREFIX}control_records", "Records of the control topic.", labels=("outcome",))
        for outcome, count in worker.control_records.items():
            control.add_metric((outcome,), count)
        yield control
        yield refused_writes_of(PREFIX, worker.refused_writes)
        text = "1 while the control topic is read, so that cancels are seen."
        yield _gauge("control_read", text, float(worker.control_unread is None))
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
        status = self._worker.group_status() or NO_GROUP
        partitions = status.partitions
        lags = _by_partition("partition_lag_records", "Offsets above the commit position; NaN if unknown.")
        unfinished = _by_partition("partition_unfinished_records", "Offsets that are not done; NaN if unknown.")
        transactions = _by_partition("partition_open_transaction_seconds", "How long a transaction holds records back.")
        for each in sorted(partitions):
            labels = (each.topic, str(each.partition))
            lags.add_metric(labels, lag_value(partitions[each].lag))
            unfinished.add_metric(labels, lag_value(partitions[each].unfinished))
            transactions.add_metric(labels, status.open_transaction_seconds(each))
        yield from (lags, unfinished, transactions)
        text = "Partitions that this worker owns whose lag is unknown (NaN)."
        yield _gauge("partitions_lag_unknown", text, status.unknown_lags)
        text = "Partitions that are not read although they have records."
        yield _gauge("partitions_stalled", text, len(status.stalled))
        yield _gauge("assigned_partitions", "Partitions that this worker owns.", len(partitions))
        text = "Offsets that Kafka deleted before they were read."
        yield CounterMetricFamily(f"{PREFIX}skipped_offsets", text, status.skipped_offsets)
        yield CounterMetricFamily(f"{PREFIX}rebalances", "Assignments by the group.", status.rebalances)


def _by_partition(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=("topic", "partition"))


def _by_reason(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=("reason",))
    for reason, count in counts.items():
        family.add_metric((reason,), count)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value)
