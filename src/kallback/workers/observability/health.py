"""`/metrics`, `/livez` and `/readyz` of one worker, and what they say.

    async with WorkerHealthServer(worker, port=9464):
        await worker.run()

*Live* means that a restart would not help: the loop turns (or nothing would be answered), and the Kafka client polls.
How long a task takes is its own business: a worker whose slots are all taken by long tasks is healthy. An outage of
Kafka is no reason to restart. A consumer that is stuck is replaced by the worker itself.

*Ready* means that tasks are taken: started and not draining, a member of the group, perhaps the spare one; that
cancels are seen; and that no topic of the installation refuses results, progress or dead letters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from kallback import health
from kallback.health import Phase, ProbeResult
from kallback.health.exposition import exposition
from kallback.kafka import GroupStatus
from kallback.workers.observability.metrics import WorkerCollector
from kallback.workers.observability.stats import WatchedWorker

STUCK_AFTER: Final = 120.0
"""Seconds without a sign of life from the Kafka client: far longer than a rebalance waits for running tasks."""
_NO_SHARE: Final = "the consumer group has not given this worker its share yet"
_SHARE_LOST: Final = (
    "the worker has lost its partitions and joins its group again, when Kafka answers and has ended the former session"
)


class WorkerProbeResult(ProbeResult, frozen=True, kw_only=True):
    """What a probe of a worker says.

    Attributes:
        running: tasks that run.
    """

    running: int


def readiness(worker: WatchedWorker) -> WorkerProbeResult:
    """Whether tasks are taken now."""
    status, reasons = worker.group_status(), list[str]()
    if worker.phase is not Phase.RUNNING:
        reasons.append(f"the worker is {worker.phase}{_while_draining(worker.phase, status)}")
    elif status is not None and (stalled := status.stall_reason()):
        reasons.append(stalled)
    elif status is None or not status.joined:
        reasons.append(_NO_SHARE if status is None or not status.rebalances else _SHARE_LOST)
    if worker.control_unread:
        reasons.append(f"the control topic cannot be read, cancels are not seen: {worker.control_unread}")
    reasons += [sentence for sentence in worker.refused_writes.values() if sentence]
    return _probe_result(worker, status, reasons)


def _while_draining(phase: Phase, status: GroupStatus | None) -> str:
    """What a drain means for new tasks; empty if the worker does not drain."""
    if phase is not Phase.DRAINING or status is None:
        return ""
    if not status.joined:
        return ": it has left its group, and others take new tasks"
    return f": new tasks on its partitions ({len(status.partitions)}) wait until its running tasks have ended"


def liveness(worker: WatchedWorker, now: float, stuck_after: float = STUCK_AFTER) -> WorkerProbeResult:
    """Whether a restart would not help; `now` is of the clock of `GroupStatus.last_poll`."""
    status, reasons = worker.group_status(), list[str]()
    if worker.phase is Phase.RUNNING and status is not None and now - status.last_poll > stuck_after:
        reasons.append(f"the Kafka client has not polled for {now - status.last_poll:.0f} s")
    return _probe_result(worker, status, reasons)


def _probe_result(worker: WatchedWorker, status: GroupStatus | None, reasons: list[str]) -> WorkerProbeResult:
    return WorkerProbeResult(
        ok=not reasons,
        reasons=reasons,
        phase=worker.phase,
        running=sum(worker.running().by_type.values()),
        partitions=None if status is None else len(status.partitions),
        lag=None if status is None else status.lag,
    )


class WorkerProbes:
    """The probes of a worker, for the health port."""

    def __init__(self, worker: WatchedWorker, monotonic: Callable[[], float]) -> None:
        self._worker = worker
        self._monotonic = monotonic

    def look(self) -> None:
        """Nothing to remember: the client itself says when it polled."""

    def live(self) -> WorkerProbeResult:
        """Whether a restart would not help."""
        return liveness(self._worker, self._monotonic())

    def ready(self) -> WorkerProbeResult:
        """Whether tasks are taken now."""
        return readiness(self._worker)


class WorkerHealthServer(health.ProbeServer):
    """Serves the health of a worker.

    Args:
        worker: what is looked at; need not be started.
        port: 0 takes a free one, see `port`.
        host: address to listen on. Default loopback: there is neither TLS nor a login here.
        monotonic: the process's clock.
    """

    def __init__(
        self,
        worker: WatchedWorker,
        port: int,
        host: str = health.LOOPBACK,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            WorkerProbes(worker, monotonic),
            exposition(WorkerCollector(worker, lambda: readiness(worker).ok)),
            port,
            host,
        )
