"""The life of one attempt once it was decided to do it: run, publish, settle. In this order, always.

Each life is one task on the worker's loop. A record is settled only when the outcome is durable: the result or the
dead letter is acknowledged, or nobody waits. A life that ends in any other way (the drain is over, a bug) settles
nothing, so Kafka delivers the record again, here or to another worker.

Cancelled by the caller: the function is interrupted, nothing is published, the record is settled when the function
has ended. Abandoned at the end of a drain: the function is interrupted as well, and nothing is settled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from kallback.kafka import Record
from kallback.protocol.results import Status
from kallback.workers.counts import WorkerCounts
from kallback.workers.failures import TaskFailure
from kallback.workers.publishing import Published, Publisher, Undeliverable, failed_reply, reply_for
from kallback.workers.registry import AttemptKey, Dead, DeadReason, Refuse, Registry, Run
from kallback.workers.runner import Ended, Execution, Raised, Returned

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lives:
    """What the lives share.

    Attributes:
        settle: tells the consumer that a record need not come again.
    """

    registry: Registry
    publisher: Publisher
    counts: WorkerCounts
    settle: Callable[[Record], None]
    expose_tracebacks: bool

    async def run(self, record: Record, verdict: Run, execution: Execution) -> None:
        """Call the function, publish what it comes to, settle."""
        try:
            ended = await execution.ended()
            if execution.context.cancelled:
                _log_unpublished(execution, ended)
                self.counts.cancelled += 1
            else:
                _log_raised(execution, ended)
                await self._publish(record, verdict, ended)
            self._finish(verdict.key)
        finally:
            self.registry.abandon(verdict.key)

    async def refuse(self, record: Record, verdict: Refuse) -> None:
        """Tell the caller by a failed result and people by a dead letter, settle."""
        logger.warning("%r dead-lettered (%s): %s", record, verdict.reason, verdict.problem.detail)
        try:
            await self.publisher.publish(verdict.headers, failed_reply(verdict.headers, verdict.problem))
            await self.publisher.bury(record, verdict.reason, verdict.problem.detail)
            self.counts.dead += 1
            self._finish(verdict.key)
        finally:
            self.registry.abandon(verdict.key)

    async def bury(self, record: Record, verdict: Dead) -> None:
        """Dead-letter a record, settle it."""
        await self._bury(record, verdict.reason, verdict.detail)
        self.settle(record)

    async def _publish(self, record: Record, verdict: Run, ended: Ended) -> None:
        reply = reply_for(ended, verdict.headers, verdict.function, expose_tracebacks=self.expose_tracebacks)
        outcome = await self.publisher.publish(verdict.headers, reply)
        match outcome:
            case Published(Status.COMPLETED):
                self.counts.completed += 1
            case Published():
                self.counts.failed += 1
            case Undeliverable(detail):
                await self._bury(record, DeadReason.UNDELIVERABLE_RESULT, detail)

    async def _bury(self, record: Record, reason: DeadReason, detail: str) -> None:
        logger.warning("%r dead-lettered (%s): %s", record, reason, detail)
        await self.publisher.bury(record, reason, detail)
        self.counts.dead += 1

    def _finish(self, key: AttemptKey) -> None:
        for record in self.registry.finish(key):
            self.settle(record)


def _log_raised(execution: Execution, ended: Ended) -> None:
    match ended:
        case Raised(TaskFailure() as failure):
            execution.context.log.info("failed: %s", failure)
        case Raised(error):
            execution.context.log.error("failed unexpectedly", exc_info=error)
        case Returned():
            pass


def _log_unpublished(execution: Execution, ended: Ended) -> None:
    if isinstance(ended, Returned):
        execution.context.log.warning("cancelled, but the function went on and returned: its value is not published")
    else:
        execution.context.log.info("cancelled, no result is published")
