"""The life of one attempt once it was decided to do it: run, publish, settle. In this order, always.

Each life is one task on the worker's loop. A record is settled only when the outcome is durable: the result or the
dead letter is acknowledged, or nobody waits. A life that ends in any other way (the drain is over, a bug) settles
nothing, so Kafka delivers the record again, here or to another worker.

A type that is acknowledged at its start is settled when Kafka has its `started` record; a worker that is lost is then
noticed by its missing heartbeats.

Cancelled by the caller, or past its deadline: the function is interrupted, nothing is published, the record is settled
when the function has ended. Abandoned at the end of a drain: the function is interrupted as well, and nothing is
settled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kallback.health import Histogram
from kallback.kafka import Record
from kallback.protocol.results import Status
from kallback.workers.attempts.decide import AttemptKey, AttemptTable, DeadLetterReason, DeadLetterTask, Reject, Run
from kallback.workers.attempts.heartbeats import HeartbeatSender
from kallback.workers.attempts.results import Published, ResultPublisher, Undeliverable, failed_reply, reply_for
from kallback.workers.errors import TaskFailure
from kallback.workers.execution.function_call import FunctionCall
from kallback.workers.execution.outcomes import CallOutcome, Raised, Returned, StopReason
from kallback.workers.observability.stats import WorkerCounts
from kallback.workers.registration.options import Acknowledge

logger = logging.getLogger(__name__)

DURATIONS: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
"""Upper bounds of the buckets, seconds: from what hardly needs a task to a day of work."""


@dataclass(frozen=True, slots=True)
class AttemptRunner:
    """What the lives share.

    Attributes:
        durations: how long functions took, by task type.
        settle: tells the consumer that a record need not come again.
    """

    attempts: AttemptTable
    publisher: ResultPublisher
    counts: WorkerCounts
    durations: dict[str, Histogram]
    settle: Callable[[Record], None]
    expose_tracebacks: bool

    async def run(
        self, record: Record, verdict: Run, call: FunctionCall, heartbeat_sender: HeartbeatSender | None = None
    ) -> None:
        """Call the function, publish what it comes to, settle."""
        try:
            if heartbeat_sender is None or call.stopped is not None:
                await self._work(record, verdict, call)
            else:
                async with heartbeat_sender.sending(lambda: self._started(verdict)):
                    await self._work(record, verdict, call, heartbeat_sender)
            self._finish(verdict.key)
        finally:
            self.attempts.abandon(verdict.key)

    async def _work(
        self, record: Record, verdict: Run, call: FunctionCall, heartbeat_sender: HeartbeatSender | None = None
    ) -> None:
        ended = await call.ended()
        self._observe(call)
        if call.stopped is not None:
            self._count_stopped(call, ended)
            return
        _log_raised(call, ended)
        if heartbeat_sender is not None and isinstance(ended, Raised):
            await heartbeat_sender.flush()
        await self._publish(record, verdict, ended)

    def _observe(self, call: FunctionCall) -> None:
        if call.began_at is not None:
            histogram = self.durations.setdefault(call.context.task_type, Histogram(DURATIONS))
            histogram.observe(time.monotonic() - call.began_at)

    async def reject(self, record: Record, verdict: Reject) -> None:
        """Tell the caller by a failed result and people by a dead letter, settle."""
        logger.warning("%r dead-lettered (%s): %s", record, verdict.reason, verdict.problem.detail)
        try:
            await self.publisher.publish(verdict.headers, failed_reply(verdict.headers, verdict.problem))
            await self.publisher.dead_letter(record, verdict.reason, verdict.problem.detail)
            self.counts.dead_lettered += 1
            self._finish(verdict.key)
        finally:
            self.attempts.abandon(verdict.key)

    async def dead_letter(self, record: Record, verdict: DeadLetterTask) -> None:
        """DeadLetterTask-letter a record, settle it."""
        await self._dead_letter(record, verdict.reason, verdict.detail)
        self.settle(record)

    def _started(self, verdict: Run) -> None:
        """Kafka knows that it began: enough for types that say so, if the caller watches the heartbeats."""
        if verdict.function.acknowledge is Acknowledge.START and verdict.headers.heartbeat_every_ms is not None:
            for record in self.attempts.release(verdict.key):
                self.settle(record)

    def _count_stopped(self, call: FunctionCall, ended: CallOutcome) -> None:
        _log_unpublished(call, ended)
        if call.stopped is StopReason.EXPIRED:
            self.counts.expired += 1
        else:
            self.counts.cancelled += 1

    async def _publish(self, record: Record, verdict: Run, ended: CallOutcome) -> None:
        reply = reply_for(ended, verdict.headers, verdict.function, expose_tracebacks=self.expose_tracebacks)
        outcome = await self.publisher.publish(verdict.headers, reply)
        match outcome:
            case Published(Status.COMPLETED):
                self.counts.completed += 1
            case Published():
                self.counts.failed += 1
            case Undeliverable(detail):
                await self._dead_letter(record, DeadLetterReason.UNDELIVERABLE_RESULT, detail)

    async def _dead_letter(self, record: Record, reason: DeadLetterReason, detail: str) -> None:
        logger.warning("%r dead-lettered (%s): %s", record, reason, detail)
        await self.publisher.dead_letter(record, reason, detail)
        self.counts.dead_lettered += 1

    def _finish(self, key: AttemptKey) -> None:
        for record in self.attempts.finish(key):
            self.settle(record)


def _log_raised(call: FunctionCall, ended: CallOutcome) -> None:
    match ended:
        case Raised(TaskFailure() as failure):
            call.context.log.info("failed: %s", failure)
        case Raised(error):
            call.context.log.error("failed unexpectedly", exc_info=error)
        case Returned():
            pass


def _log_unpublished(call: FunctionCall, ended: CallOutcome) -> None:
    log, why = call.context.log, call.stopped
    if isinstance(ended, Returned):
        log.warning("%s, but the function went on and returned: its value is not published", why)
    else:
        log.info("%s, no result is published", why)
