"""The metrics of a bridge in Prometheus' format, read at each scrape: nothing of this runs per record.

`docs/observability.md` explains each metric and `dashboards/kallback-bridge.json` draws them; tests compare both with
this module. Labels are task types of verified tokens (their number is bounded), partitions, and fixed words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from kallback.bridge.in_flight.limits import Backlog
from kallback.bridge.in_flight.parking import PARKED
from kallback.bridge.observability.probes import ObservedBridge, readiness
from kallback.bridge.pipeline.router import REJECTED
from kallback.bridge.results.late_policy import LATE
from kallback.bridge.stats import ProgressOutcome
from kallback.health.exposition import build_of, family_of, refused_writes_of
from kallback.kafka import UNREADABLE, GroupStatus, lag_value
from kallback.kafka.group_status import NO_GROUP
from kallback.protocol import Unusable, Unverified

PREFIX: Final = "kallback_bridge_"
_SUMMARIZED: Final = (*(it.value for it in Unverified), UNREADABLE)
REASONS: Final = (*_SUMMARIZED, *(it.value for it in Unusable), LATE, REJECTED, PARKED)
"""Of dead letters; each is in the metrics from the start, so that a rate sees the first one."""


class Measured(ObservedBridge, Protocol):
    """What is measured: a bridge."""

    def backlog(self) -> Backlog:
        """What is in flight, by age and partition."""
        ...


class BridgeCollector(Collector):
    """Reads one bridge."""

    def __init__(self, bridge: Measured) -> None:
        self._bridge = bridge

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before a bridge is there to be read."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._flow()
        yield from self._settlements()
        yield from self._restate()
        yield from self._kafka()
        yield family_of(
            f"{PREFIX}completion_latency_seconds",
            "From a record's Kafka timestamp to Restate's acceptance.",
            "task_type",
            self._bridge.stats.by_task_type.latencies,
        )
        yield _gauge("ready", "1 if /readyz says yes.", float(readiness(self._bridge).ok))
        yield build_of(PREFIX)

    def _flow(self) -> Iterator[Metric]:
        stats, backlog = self._bridge.stats, self._bridge.backlog()
        yield _counter("records_fetched", "Result records taken from Kafka, duplicates included.", stats.fetched)
        yield _gauge("in_flight_records", "Records fetched and not settled.", stats.in_flight)
        yield _gauge("in_flight_bytes", "Bytes of memory that they take, about.", stats.in_flight_bytes)
        yield _gauge("set_aside_records", "Unverified records that wait for their summary.", stats.set_aside)
        yield _gauge("in_flight_limit", "Records that may be in flight.", self._bridge.options.max_in_flight)
        yield _gauge("oldest_in_flight_seconds", "Since the oldest record in flight was fetched.", backlog.oldest_age)
        yield _gauge("stuck_records", "Records in flight for longer than they should be.", backlog.stuck)

    def _settlements(self) -> Iterator[Metric]:
        stats = self._bridge.stats
        settled = CounterMetricFamily(
            f"{PREFIX}records_settled",
            "Records with an outcome. task_type is from verified tokens only.",
            labels=("task_type", "outcome", "reason"),
        )
        for (task_type, outcome, reason), count in stats.by_task_type.settled.items():
            settled.add_metric((task_type, outcome.value, reason or ""), count)
        yield settled
        letters = CounterMetricFamily(f"{PREFIX}dead_letters", "Dead letters written.", labels=("reason",))
        for reason, count in (dict.fromkeys(REASONS, 0) | stats.dead_letters).items():
            letters.add_metric((reason,), count)
        yield letters
        counted = CounterMetricFamily(
            f"{PREFIX}summarized_records", "Records that summaries of dead letters count.", labels=("reason",)
        )
        for reason, count in (dict.fromkeys(_SUMMARIZED, 0) | stats.summarized).items():
            counted.add_metric((reason,), count)
        yield counted
        yield _counter(
            "write_retries", "Dead letters and outcome records that Kafka did not take at once.", stats.write_retries
        )
        yield refused_writes_of(PREFIX, stats.refused_writes)

    def _restate(self) -> Iterator[Metric]:
        stats = self._bridge.stats
        yield _counter("completion_attempts", "Completions sent to Restate, retries included.", stats.attempts)
        yield _counter("completion_retries", "Completions that Restate did not take.", stats.retries)
        yield _by_reply("replies", "Replies by HTTP status, or what came in place of one.", stats.replies)
        yield _by_reply("late_handler_replies", "The same for late results that go to a handler.", stats.late_replies)
        family = CounterMetricFamily(
            f"{PREFIX}progress", "Progress records by what became of them.", labels=("outcome",)
        )
        for outcome in ProgressOutcome:
            family.add_metric((outcome.value,), stats.progress[outcome])
        yield family
        yield _gauge("concurrency_limit", "Requests that may run concurrently; falls under load.", stats.concurrency)
        yield _gauge("restate_available", "0 while the breaker holds Restate to be away.", float(not stats.unavailable))
        text = "1 while another environment has taken over a Restate service of this bridge."
        yield _gauge("service_taken_over", text, float(stats.services_taken_over is not None))

    def _kafka(self) -> Iterator[Metric]:
        status, in_flight = self._bridge.group_status() or NO_GROUP, self._bridge.backlog().by_partition
        lags = _by_partition("partition_lag_records", "Offsets not settled; NaN if unknown.")
        flying = _by_partition("partition_in_flight_records", "Records in flight.")
        windows = _by_partition("partition_window_ratio", "How much of the commit window is used; at 1 it stops.")
        partitions = status.partitions
        for partition in sorted(partitions):
            stands = partitions[partition]
            labels = (partition.topic, str(partition.partition))
            lags.add_metric(labels, lag_value(stands.lag))
            flying.add_metric(labels, in_flight.get(partition.partition, 0))
            windows.add_metric(labels, stands.window_used / stands.window)
        yield from (lags, flying, windows)
        text = "Partitions that this bridge owns whose lag is unknown (NaN)."
        yield _gauge("partitions_lag_unknown", text, status.unknown_lags)
        yield _gauge("assigned_partitions", "Partitions that this bridge owns.", len(partitions))
        yield _counter("rebalances", "Assignments by the group.", status.rebalances)
        yield from self._kafka_trouble((status, self._bridge.progress_status() or NO_GROUP))

    @staticmethod
    def _kafka_trouble(groups: Sequence[GroupStatus]) -> Iterator[Metric]:
        """Of the results and of the progress topic: without progress, lost workers are not noticed."""
        text = "How long a transaction holds records back."
        transactions = _by_partition("partition_open_transaction_seconds", text)
        for status in groups:
            for each in sorted(status.partitions):
                labels = (each.topic, str(each.partition))
                transactions.add_metric(labels, status.open_transaction_seconds(each))
        yield transactions
        text = "Partitions that are not read although they have records."
        yield _gauge("partitions_stalled", text, sum(len(status.stalled) for status in groups))
        text = "Offsets that Kafka deleted before they were read."
        yield _counter("skipped_offsets", text, sum(status.skipped_offsets for status in groups))


def _by_partition(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=("topic", "partition"))


def _by_reply(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=("reply",))
    for label, count in counts.items():
        family.add_metric((label,), count)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value)
