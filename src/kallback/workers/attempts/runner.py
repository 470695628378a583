"""Runs one attempt once it was decided to: call the function, publish, acknowledge. In this order, always.

Each attempt is one task on the worker's loop. A record is acknowledged only when the outcome is durable: the result or
the dead letter is in Kafka, or the caller does not wait. An attempt that ends in any other way (a bug) acknowledges
nothing, so the record comes again, here or to another worker.

A type that is acknowledged at its start is acknowledged when Kafka has its `started` record; a worker that is lost is
then noticed by its missing heartbeats.

Cancelled by the caller, or past its deadline: the function is interrupted, nothing is published, the record is
acknowledged when the function has ended. Abandoned at the end of a drain: the function is interrupted as well. Then the
attempt is handed back if the caller takes it: the result says so, and the record is acknowledged, because the caller
sends the next attempt. Otherwise nothing is acknowledged.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from kallback.health import Histogram
from kallback.kafka import Producer, Record, SummaryBuilder
from kallback.lifecycle import Backoff, LogThrottle
from kallback.protocol.long_tasks.hand_backs import hand_back
from kallback.protocol.results import Status
from kallback.settings.logs import NamedLog
from kallback.workers.attempts.dead_letter_reason import DeadLetterReason
from kallback.workers.attempts.decide import AttemptState, DeadLetterTask, Reject, ReportLost, Run
from kallback.workers.attempts.heartbeats import HeartbeatSender, LastDetails
from kallback.workers.attempts.results import Published, ResultPublisher, Undeliverable, failed_reply, reply_for
from kallback.workers.attempts.table import AttemptTable
from kallback.workers.context import context_of
from kallback.workers.errors import TaskFailure
from kallback.workers.execution.function_call import FunctionCall
from kallback.workers.execution.outcomes import CallOutcome, Raised, Returned
from kallback.workers.execution.process_pool import ProcessPool
from kallback.workers.logs import guarded_logger
from kallback.workers.observability.stats import WorkerCounts
from kallback.workers.registration.options import Acknowledge
from kallback.workers.stop_reason import StopReason

if TYPE_CHECKING:
    from kallback.workers.observability.spans import AttemptSpan, WorkerSpans

logger = guarded_logger(__name__)

DURATIONS: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
"""Upper bounds of the buckets, seconds: from what hardly needs a task to a day of work."""


@dataclass(frozen=True, slots=True)
class StartedAttempt:
    """An attempt that runs.

    Attributes:
        heartbeats: sends its progress; None if its caller wants none.
        details: what the next attempt would continue with.
        on_sending: is called when the function has ended and its result is about to be sent, with the seconds for which
            it ran and the bytes of the result.
        span: of its trace; None without a tracer.
    """

    record: Record
    verdict: Run
    call: FunctionCall
    heartbeats: HeartbeatSender | None
    details: LastDetails
    on_sending: Callable[[float, int], object]
    span: AttemptSpan | None


class AttemptRunner:
    """Runs attempts.

    Args:
        table: what runs and what is finished.
        publisher: of results and dead letters.
        producer: of progress.
        process_pool: where functions with executor "process" run.
        settle: tells the consumer that a record need not come again.
        partitions: the partitions of a topic that this worker reads now, as text.
        counts: what was done.
        durations: how long functions took, by task type.
        clock: epoch seconds.
        backoff: between tries to send progress.
        expose_tracebacks: see `WorkerOptions`.
        spans: None without a tracer.
    """

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        *,
        table: AttemptTable,
        publisher: ResultPublisher,
        producer: Producer,
        process_pool: ProcessPool,
        settle: Callable[[Record], None],
        partitions: Callable[[str], str],
        counts: WorkerCounts,
        durations: dict[str, Histogram],
        clock: Callable[[], float],
        backoff: Backoff,
        expose_tracebacks: bool,
        spans: WorkerSpans | None,
    ) -> None:
        self._table: Final = table
        self._publisher: Final = publisher
        self._producer: Final = producer
        self._process_pool: Final = process_pool
        self._settle: Final = settle
        self._partitions: Final = partitions
        self._counts: Final = counts
        self._durations: Final = durations
        self._clock: Final = clock
        self._backoff: Final = backoff
        self._expose_tracebacks: Final = expose_tracebacks
        self._spans: Final = spans
        self._throttle: Final = LogThrottle(NamedLog(logger))

    def start(self, record: Record, verdict: Run, on_sending: Callable[[float, int], object]) -> StartedAttempt:
        """Make the attempt, to be given to `run`."""
        span = None if self._spans is None else self._spans.start(record, verdict.headers)
        if span is not None:
            verdict = replace(verdict, headers=span.headers)
        headers = verdict.headers
        heartbeats = (
            None
            if headers.progress_to is None
            else HeartbeatSender(
                headers,
                headers.progress_to,
                self._producer,
                self._clock,
                self._backoff,
                partial(self._partitions, record.topic),
            )
        )
        details = LastDetails(headers.last_details, _ignore if heartbeats is None else heartbeats.record)
        context = context_of(headers, on_heartbeat=details.record, clock=self._clock, is_traced=span is not None)
        call = FunctionCall(
            verdict.function, verdict.request, context, self._process_pool, details.record, headers.cancel_hash
        )
        return StartedAttempt(record, verdict, call, heartbeats, details, on_sending, span)

    async def run(self, attempt: StartedAttempt) -> None:
        """Call the function, publish its outcome or hand the attempt back, acknowledge the record."""
        with contextlib.nullcontext() if attempt.span is None else attempt.span.running():
            ended = await self._run(attempt)
            if attempt.span is not None:
                attempt.span.ended(ended)

    async def _run(self, attempt: StartedAttempt) -> str:
        """Returns what became of the attempt."""
        key, call = attempt.verdict.key, attempt.call
        published: Published | Undeliverable | None = None
        async with self._heartbeats(attempt):
            outcome = await call.outcome()
            self._observe(call)
            if call.stopped is None:
                published = await self._publish(attempt, outcome)
            elif call.stopped is not StopReason.WORKER_STOPPING:
                self._count_stopped(call, outcome)
            elif not await self._hand_back(attempt):
                return "abandoned"
        is_dead_letter = isinstance(published, Undeliverable)
        self._acknowledge(self._table.dead_letter(key) if is_dead_letter else self._table.finish(key))
        return _name_of(published, call)

    async def reject(self, record: Record, verdict: Reject, on_told: Callable[[], object]) -> None:
        """Tell the caller by a failed result, call `on_told`, tell people by a dead letter; acknowledge the record."""
        await self._publisher.publish(verdict.headers, failed_reply(verdict.headers, verdict.problem))
        on_told()
        self._table.begin_dead_letter(verdict.key)
        await self._dead_letter(record, verdict.reason, verdict.problem.detail)
        self._acknowledge(self._table.dead_letter(verdict.key))

    async def report_lost(self, verdict: ReportLost) -> None:
        """Tell the caller that the attempt is lost; acknowledge its record."""
        await self._publisher.publish(verdict.headers, failed_reply(verdict.headers, verdict.problem))
        self._counts.failed += 1
        self._acknowledge(self._table.finish(verdict.key))

    async def dead_letter(self, record: Record, verdict: DeadLetterTask) -> None:
        """Dead-letter a record; acknowledge it."""
        await self._dead_letter(record, verdict.reason, verdict.detail)
        self._settle(record)

    async def dead_letter_summary(
        self, summary: SummaryBuilder, reason: DeadLetterReason, detail: str, *, sample: bool
    ) -> None:
        """Dead-letter the records of a summary; acknowledges none."""
        self._throttle.warning(
            "task records dead-lettered in a summary",
            kind=f"summary-{reason.value}",
            records=summary.count,
            first=summary.sample,
            detail=detail,
        )
        await self._publisher.dead_letter_summary(summary, reason, detail, sample=sample)
        self._counts.dead_lettered += summary.count
        self._counts.dead_letter_reasons[reason.value] += summary.count

    def _heartbeats(self, attempt: StartedAttempt) -> contextlib.AbstractAsyncContextManager[None]:
        if attempt.heartbeats is None or attempt.call.stopped is not None:
            return contextlib.nullcontext()
        return attempt.heartbeats.sending(lambda: self._on_started(attempt.verdict))

    def _on_started(self, verdict: Run) -> None:
        """Kafka knows that it began: enough for types that say so, if the caller watches the heartbeats."""
        if verdict.headers.heartbeat_every_ms is None:
            return
        if verdict.function.acknowledge is Acknowledge.START:
            self._acknowledge(self._table.acknowledge(verdict.key))
        elif verdict.headers.retry_lost:
            self._acknowledge(self._table.watch(verdict.key))

    async def _publish(self, attempt: StartedAttempt, outcome: CallOutcome) -> Published | Undeliverable:
        _log_raised(attempt.call, outcome)
        if attempt.heartbeats is not None and isinstance(outcome, Raised):
            await attempt.heartbeats.flush()
        headers, function = attempt.verdict.headers, attempt.verdict.function
        newest = attempt.details.newest
        reply = reply_for(outcome, headers, function, newest, expose_tracebacks=self._expose_tracebacks)
        attempt.on_sending(attempt.call.seconds(time.monotonic()), reply.record.size)
        published = await self._publisher.publish(headers, reply)
        match published:
            case Published(Status.COMPLETED):
                self._counts.completed += 1
            case Published():
                self._counts.failed += 1
            case Undeliverable(detail):
                self._table.begin_dead_letter(attempt.verdict.key)
                await self._dead_letter(attempt.record, DeadLetterReason.UNDELIVERABLE_RESULT, detail)
        return published

    async def _hand_back(self, attempt: StartedAttempt) -> bool:
        """Give the attempt back to its caller, who sends the next one at once; whether the caller takes it."""
        headers, context = attempt.verdict.headers, attempt.call.context
        if headers.hand_back:
            problem = hand_back(attempt.details.newest, self._partitions(attempt.record.topic))
            if isinstance(await self._publisher.publish(headers, failed_reply(headers, problem)), Published):
                context.log.info("unfinished at the end of the drain: handed back to the caller")
                self._counts.handed_back += 1
                return True
        is_done = self._table.state_of(attempt.verdict.key, attempt.record) is AttemptState.ACKNOWLEDGED
        then = "its caller notices by its missing heartbeats" if is_done else "left for another worker"
        context.log.warning("unfinished at the end of the drain: %s", then)
        self._counts.abandoned += 1
        return False

    async def _dead_letter(self, record: Record, reason: DeadLetterReason, detail: str) -> None:
        self._throttle.warning("task record dead-lettered", kind=reason.value, record=record, detail=detail)
        await self._publisher.dead_letter(record, reason, detail)
        self._counts.dead_lettered += 1
        self._counts.dead_letter_reasons[reason.value] += 1

    def _acknowledge(self, records: list[Record]) -> None:
        for record in records:
            self._settle(record)

    def _observe(self, call: FunctionCall) -> None:
        if call.started_at is not None:
            histogram = self._durations.setdefault(call.context.task_type, Histogram(DURATIONS))
            histogram.observe(time.monotonic() - call.started_at)

    def _count_stopped(self, call: FunctionCall, outcome: CallOutcome) -> None:
        if isinstance(outcome, Returned):
            call.context.log.warning(
                "%s, but the function went on and returned: its value is not published", call.stopped
            )
        else:
            call.context.log.info("%s, no result is published", call.stopped)
        if call.is_expired:
            self._counts.expired += 1
        else:
            self._counts.cancelled += 1


def _name_of(published: Published | Undeliverable | None, call: FunctionCall) -> str:
    match published:
        case Published(status):
            return status.value
        case Undeliverable():
            return "undeliverable"
        case None:
            if call.stopped is StopReason.WORKER_STOPPING:
                return "handed-back"
            return "expired" if call.is_expired else "cancelled"


def _log_raised(call: FunctionCall, outcome: CallOutcome) -> None:
    match outcome:
        case Raised(TaskFailure() as failure):
            call.context.log.info("failed: %s", failure)
        case Raised(error):
            call.context.log.error("failed unexpectedly", exc_info=error)
        case Returned():
            pass


def _ignore(_details: bytes) -> None:
    pass
