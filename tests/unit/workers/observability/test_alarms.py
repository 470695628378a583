"""Each alert of a worker in `deploy/alerts.yml`: a simulated worker in that trouble shows its metric in alarm.

`tests/unit/deploy/firing_alerts.yml` shows that Prometheus then fires it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.workers.environment import WorkerEnv

from kallback.health.exposition import exposition
from kallback.kafka import TopicPartition
from kallback.kafka.group_status import NO_GROUP, OpenTransaction
from kallback.protocol.cancel_secrets import hash_of
from kallback.workers import Worker
from kallback.workers.observability.health import readiness
from kallback.workers.observability.metrics import WorkerCollector

GROUPS = yaml.safe_load((Path(__file__).parents[4] / "deploy" / "alerts.yml").read_text())["groups"]
PARTITION: Final = TopicPartition("orders", 0)
HERE: Final = ("0", "orders")

Sample = tuple[str, tuple[str, ...]]


def scrape(worker: Worker) -> dict[Sample, float]:
    """Samples by name (without our prefix) and label values in the order of the labels' names."""
    body, _ = exposition(WorkerCollector(worker, lambda: readiness(worker).ok))("text/plain")
    return {
        (sample.name.removeprefix("kallback_worker_"), tuple(value for _, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def forged_cancel(env: WorkerEnv) -> None:
    """A task, and a cancel of it whose secret nobody has derived."""
    env.send(cancel_hash=hash_of("the real one"))
    env.cancel(secret="made up")


def many_tasks(env: WorkerEnv) -> None:
    """More tasks than are done: no function takes a place."""
    for number in range(101):
        env.send(f"t{number}")


TROUBLE: Final[dict[str, tuple[Callable[[WorkerEnv], object], Sample, float]]] = {
    "KallbackTasksWait": (many_tasks, ("partition_unfinished_records", HERE), 101),
    "KallbackTaskDeadLetters": (
        lambda env: env.send(reply_to="elsewhere"),
        ("dead_letters_total", ("refused-reply-topic",)),
        1,
    ),
    "KallbackRefusedCancels": (forged_cancel, ("cancels_refused_total", ("wrong-secret",)), 1),
}
"""What is written, and the sample that shows it. A counter is at 0 before, so that its first increase is seen."""
OF_KAFKA: Final[dict[str, tuple[Sample, float, dict[str, object]]]] = {
    "KallbackWorkerPartitionStalled": (("partitions_stalled", ()), 1, {"stalled": frozenset({PARTITION})}),
    "KallbackOpenTransaction": (
        ("partition_open_transaction_seconds", HERE),
        12,
        {"open_transactions": {PARTITION: OpenTransaction(3, 5, 12.0)}},
    ),
    "KallbackSkippedRecords": (("skipped_offsets_total", ()), 7, {"skipped_offsets": 7}),
}


def blocked(env: WorkerEnv, worker: Worker) -> None:
    """Register a function that never ends by itself."""

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        return await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("alert", TROUBLE)
async def test_a_worker_in_trouble_shows_it(alert: str, env: WorkerEnv) -> None:
    """Its task never ends, so that what is written later waits."""
    write, sample, value = TROUBLE[alert]
    worker = env.worker(concurrency=1, drain_timeout=0.0)
    blocked(env, worker)
    async with worker:
        await env.until(lambda: scrape(worker).get(sample) == 0, f"{sample} at 0")
        write(env)
        await env.until(lambda: scrape(worker)[sample] >= value, f"{sample} at {value}")


@pytest.mark.parametrize("alert", OF_KAFKA)
async def test_trouble_that_only_a_real_kafka_causes_shows(
    alert: str, env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer's status says it."""
    sample, value, changes = OF_KAFKA[alert]
    worker = env.worker(drain_timeout=0.0)
    env.cook(worker)
    async with worker:
        await env.until(lambda: (status := worker.group_status()) and status.partitions, "a partition")
        status = msgspec.structs.replace(worker.group_status() or NO_GROUP, **changes)
        monkeypatch.setattr(worker, "group_status", lambda: status)
        assert scrape(worker)[sample] == value


def test_a_worker_that_has_not_started_is_not_ready(env: WorkerEnv) -> None:
    """The port is up before the worker is."""
    assert scrape(env.worker())["ready", ()] == 0


def test_each_alert_is_shown() -> None:
    """Two of them are rules of the bridge's group that look at both."""
    (rules,) = (group["rules"] for group in GROUPS if group["name"] == "kallback-worker")
    both = {"KallbackOpenTransaction", "KallbackSkippedRecords"}
    assert {rule["alert"] for rule in rules} == {"KallbackWorkerNotReady", *TROUBLE, *OF_KAFKA} - both
