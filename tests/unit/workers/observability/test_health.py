"""The health port of a worker, on a broker in memory."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from kallback.health import Histogram, Phase
from kallback.kafka import GroupStatus, PartitionStatus, TopicPartition
from kallback.workers import WorkerCounts
from kallback.workers.observability.health import WorkerHealthServer, liveness, readiness
from kallback.workers.observability.stats import RunningTasks


@dataclass
class Fake:
    """A worker that says what it is told."""

    phase: Phase = Phase.RUNNING
    joined: bool = True
    polled: float = 100.0
    counts: WorkerCounts = field(default_factory=WorkerCounts)
    durations: Mapping[str, Histogram] = field(default_factory=dict[str, Histogram])
    refused_cancels: Mapping[str, int] = field(default_factory=lambda: {"no-secret": 2})
    control_records: Mapping[str, int] = field(default_factory=lambda: {"invalid": 4})
    control_unread: str | None = None
    refused_writes: Mapping[str, str | None] = field(default_factory=lambda: {"kallback.results": None})
    unanswered: float = 0.0

    def group_status(self) -> GroupStatus:
        """Its one partition has two records that wait."""
        stands = PartitionStatus(position=3, end=5, window_used=0, window=10)
        return GroupStatus(
            joined=self.joined,
            rebalances=1,
            last_poll=self.polled,
            partitions={TopicPartition("t", 0): stands},
            unanswered=self.unanswered,
        )

    def running(self) -> RunningTasks:
        """One task runs."""
        return RunningTasks({"kitchen.prepare": 1}, 7.0, 16)


def test_a_worker_that_takes_tasks_is_ready() -> None:
    """And says how much lies before it."""
    result = readiness(Fake())
    assert (result.ok, result.running, result.partitions, result.lag) == (True, 1, 1, 2)


@pytest.mark.parametrize("fake", [Fake(phase=Phase.DRAINING), Fake(phase=Phase.STARTING), Fake(joined=False)])
def test_a_worker_that_takes_none_is_not_ready_but_alive(fake: Fake) -> None:
    """A restart would not help."""
    assert not readiness(fake).ok
    assert liveness(fake, 100.0).ok


@pytest.mark.parametrize(
    ("joined", "said"),
    [
        (True, "new tasks on its partitions (1) wait until its running tasks have ended"),
        (False, "it has left its group, and others take new tasks"),
    ],
)
def test_a_worker_that_drains_says_what_becomes_of_new_tasks(*, joined: bool, said: str) -> None:
    """Kafka describes a member that drains as any other."""
    assert readiness(Fake(phase=Phase.DRAINING, joined=joined)).reasons == [f"the worker is draining: {said}"]


@pytest.mark.parametrize("joined", [False, True])
def test_a_worker_without_kafka_is_not_ready_but_alive(*, joined: bool) -> None:
    """Its client may hold it for a member of its group, because nobody says otherwise."""
    fake = Fake(joined=joined, unanswered=12.0)
    assert ["Kafka has not answered for 12 s" in reason for reason in readiness(fake).reasons] == [True]
    assert liveness(fake, 100.0).ok


def test_a_worker_that_sees_no_cancels_is_not_ready() -> None:
    """It may do work that nobody waits for; it says why."""
    fake = Fake(control_unread="no broker leads kallback.control[1]")
    assert readiness(fake).reasons == [
        "the control topic cannot be read, cancels are not seen: no broker leads kallback.control[1]"
    ]
    assert liveness(fake, 100.0).ok


def test_a_worker_whose_topic_refuses_writes_is_not_ready_but_alive() -> None:
    """A restart brings back no permission; the sentence says what does."""
    fake = Fake(refused_writes={"kallback.results": "add the missing ACL", "kallback.progress": None})
    assert readiness(fake).reasons == ["add the missing ACL"]
    assert liveness(fake, 100.0).ok


def test_a_client_that_has_not_polled_for_long_is_dead() -> None:
    """That is the one thing that a restart mends."""
    result = liveness(Fake(polled=100.0), 221.0)
    assert result.reasons == ["the Kafka client has not polled for 121 s"]


async def test_the_pages_of_a_worker() -> None:
    """Metrics for Prometheus, verdicts as JSON."""
    histogram = Histogram((1.0,))
    histogram.observe(0.5)
    fake = Fake(
        polled=time.monotonic(),
        counts=WorkerCounts(completed=3, dead_letter_reasons=Counter(parked=1)),
        durations={"kitchen.prepare": histogram},
    )
    async with WorkerHealthServer(fake, 0) as server:
        metrics, live, ready = await asyncio.gather(*(get(server, path) for path in ("metrics", "livez", "readyz")))
    assert 'kallback_worker_records_total{outcome="completed"} 3.0' in metrics.text
    assert 'kallback_worker_dead_letters_total{reason="parked"} 1.0' in metrics.text
    assert 'kallback_worker_cancels_refused_total{reason="no-secret"} 2.0' in metrics.text
    assert 'kallback_worker_control_records_total{outcome="invalid"} 4.0' in metrics.text
    assert 'kallback_worker_running_tasks{task_type="kitchen.prepare"} 1.0' in metrics.text
    assert 'kallback_worker_task_duration_seconds_count{task_type="kitchen.prepare"} 1.0' in metrics.text
    assert 'kallback_worker_partition_lag_records{partition="0",topic="t"} 2.0' in metrics.text
    assert (live.status_code, ready.status_code) == (200, 200)
    assert json.loads(ready.text)["phase"] == "running"


async def get(server: WorkerHealthServer, path: str) -> httpx.Response:
    """Ask for a page."""
    async with httpx.AsyncClient() as http:
        return await http.get(f"http://127.0.0.1:{server.port}/{path}")
