"""The fetch loop: take records while there are free slots, decide what each means, apply the verdict.

No more is fetched than can run now, so no fetched record waits while another worker is idle, and a rebalance waits for
running work only. Between deciding and applying nothing is awaited: two duplicates in one batch are a run and a
duplicate attached to it.

The exception are types with a limit or an order: a record of a full type or a busy key is *held back* here while
records of others are fetched. How many, the consumer bounds per partition (`ConsumerOptions.unfinished_records`): so a
full type stops the fetching of the partitions that are full of it, and of no others. Held work counts as running for
duplicates; when its turn comes it is decided on again, and released if its partition has gone meanwhile.

The way of a record: admit, start, run, publish, acknowledge. The last three are the attempt runner's. An attempt that
ends in an error of the worker itself is admitted again after a pause: no record is forgotten until the next restart.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, assert_never

from kallback.kafka import Record, TopicPartition, size_of
from kallback.lifecycle import LogThrottle, Supervisor
from kallback.settings import NamedLog
from kallback.workers.attempts.decide import (
    AttachToRunning,
    AttemptKey,
    DeadLetterTask,
    DropFinished,
    FindCancel,
    Reject,
    ReportLost,
    Rules,
    Run,
    Skip,
    SkipCancelled,
    SkipExpired,
    Verdict,
    decide,
    decide_skip,
)
from kallback.workers.attempts.runner import AttemptRunner, StartedAttempt
from kallback.workers.attempts.table import AttemptTable
from kallback.workers.intake.consumer_supervisor import ConsumerSupervisor
from kallback.workers.intake.crash_guard import CrashGuard
from kallback.workers.intake.dead_letter_settler import DeadLetterSettler
from kallback.workers.intake.in_flight import InFlightAttempts
from kallback.workers.intake.scheduler import Scheduled, Scheduler, Slot
from kallback.workers.intake.unacknowledged import HeldSlot, UnacknowledgedResults
from kallback.workers.logs import guarded_logger
from kallback.workers.observability.stats import WorkerCounts

logger = guarded_logger(__name__)

_ANY_SLOT: Final = Slot()


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task that is to run."""

    record: Record
    verdict: Run


class FetchLoop:
    """Turns records into attempts.

    Args:
        consumer: of the group.
        rules: of this worker.
        learn_topics: finds out which of the topics exist that fetched records name.
        find_cancel: what is known of cancels.
        table: what runs and what is finished.
        runner: of attempts.
        dead_letters: of records that begin no attempt.
        in_flight: attempts that run.
        scheduler: says which work may begin.
        unacknowledged: results that have given their slot back.
        supervisor: of the pauses before attempts that begin again.
        counts: what was done.
        clock: epoch seconds.
        retry_delay: seconds of these pauses.
        commit_interval: seconds between the consumer's commits.
    """

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        *,
        consumer: ConsumerSupervisor,
        rules: Rules,
        learn_topics: Callable[[Sequence[Record]], Awaitable[None]],
        find_cancel: FindCancel,
        table: AttemptTable,
        runner: AttemptRunner,
        dead_letters: DeadLetterSettler,
        in_flight: InFlightAttempts,
        scheduler: Scheduler[QueuedTask],
        unacknowledged: UnacknowledgedResults,
        supervisor: Supervisor,
        counts: WorkerCounts,
        clock: Callable[[], float],
        retry_delay: float,
        commit_interval: float,
    ) -> None:
        self._consumer: Final = consumer
        self._rules: Final = rules
        self._learn_topics: Final = learn_topics
        self._find_cancel: Final = find_cancel
        self._table: Final = table
        self._runner: Final = runner
        self._dead_letters: Final = dead_letters
        self._in_flight: Final = in_flight
        self._scheduler: Final = scheduler
        self._unacknowledged: Final = unacknowledged
        self._supervisor: Final = supervisor
        self._counts: Final = counts
        self._clock: Final = clock
        self._retry_delay: Final = retry_delay
        self._slot_freed: Final = asyncio.Event()
        self._retrying = 0
        self._is_ending = False
        self._context: Final = contextvars.copy_context()
        """Of no attempt: one that begins when another one has ended is not part of its trace."""
        self._release_guarded: Final = supervisor.guard("the release of a slot", self._release_and_start)
        self._log: Final = LogThrottle(NamedLog(logger))  # others may write any number of records that are not run
        consumer.on_revoke(supervisor.guard("a revocation", self.prepare_revoke))
        self.crash_guard: Final = CrashGuard(
            consumer.commit,
            consumer.must_commit_start,
            scheduler,
            in_flight.ages,
            self._start_apart,
            self._start_held,
            supervisor,
            commit_interval,
        )

    async def run(self) -> None:
        """Go on until cancelled.

        Raises:
            MissingTopicError: a task topic was deleted.
            AccessDeniedError: a permission was withdrawn.
        """
        while True:
            while self._scheduler.free < 1:
                self._slot_freed.clear()
                await self._slot_freed.wait()
            records = await self._consumer.fetch(self._scheduler.free)
            await self._learn_topics(records)
            for record in records:
                self.admit(record)
            await self._dead_letters.room()
            await asyncio.sleep(0)  # records that take no slot do not hold the loop

    def held_back(self) -> dict[str, int]:
        """How many records wait in this worker, by reason."""
        waiting = {"no-thread": self._in_flight.waiting_for_start(), "retry": self._retrying}
        return self._scheduler.held() | waiting

    def release_held(self) -> None:
        """Leave what is held to another worker: the end of the intake."""
        self._is_ending = True
        for task in self._scheduler.clear_held():
            self._release_task(task)

    @property
    def needs_group(self) -> bool:
        """Whether this worker must stay in its group: a record is not settled, or a key must wait for running work.

        If it left, another worker would begin that work a second time.
        """
        return self._scheduler.runs_ordered or self._table.holds_records or self._dead_letters.is_writing

    def prepare_revoke(self, partitions: frozenset[TopicPartition]) -> None:
        """Let a rebalance wait for nothing that it need not wait for.

        What is held has not begun. An attempt that its caller replaces if its heartbeats stop goes on here, and needs
        its record no longer. Otherwise the next owner would begin it anew. The record of an attempt that is not
        replaced stays undone: if this worker dies, only its redelivery continues the task.
        """
        for task in self._scheduler.drop(lambda it: TopicPartition(it.record.topic, it.record.partition) in partitions):
            for record in self._release_task(task, partitions):
                self._consumer.release(record)
        for record in self._table.acknowledge_watched(partitions):
            self._consumer.settle(record)

    def admit(self, record: Record) -> None:
        """Decide what a record means, and apply the verdict."""
        self._apply(record, decide(record, self._rules, self._now_ms(), self._table.state_of, self._find_cancel))

    def _apply(self, record: Record, verdict: Verdict) -> None:
        match verdict:
            case Run():
                self._schedule(QueuedTask(record, verdict))
            case Reject(key):
                self._table.admit(key, record)
                held = HeldSlot(_ANY_SLOT)
                rejection = self._runner.reject(record, verdict, partial(self._on_told, held, record))
                self._start_bare(rejection, partial(self._table.abandon, key), held)
            case ReportLost(key):
                self._say("lost", "the process that began it died: its caller sends the next attempt", key)
                self._table.admit(key, record)
                report = self._runner.report_lost(verdict)
                self._start_bare(report, partial(self._table.abandon, key), HeldSlot(_ANY_SLOT))
            case DeadLetterTask():
                self._dead_letters.settle(record, verdict, self._retry_unless_ending)
            case AttachToRunning(key):
                self._say("duplicate-running", "a duplicate of a running task, settled with it", key)
                self._counts.attached += 1
                self._table.attach(key, record)
            case DropFinished(key):
                self._say("duplicate-finished", "a duplicate of a finished task, dropped", key)
                self._counts.dropped += 1
                self._consumer.settle(record)
            case SkipCancelled() | SkipExpired():
                self._count_skipped(verdict)
                self._consumer.settle(record)
            case _:
                assert_never(verdict)

    def _schedule(self, task: QueuedTask) -> None:
        self._table.admit(task.verdict.key, task.record)
        slot = _slot_of(task)
        if slot.apart:
            self.crash_guard.notice_suspect()
        if self._scheduler.try_acquire(slot, task):
            self._start(slot, task)

    def _start(self, slot: Slot, task: QueuedTask) -> asyncio.Task[None]:
        self._consumer.started(task.record)
        held = HeldSlot(slot)
        attempt = self._runner.start(task.record, task.verdict, partial(self._on_sending, held, task.record))
        run = self._run(attempt, self.crash_guard.recorded(task.record))
        unsettled = partial(self._table.abandon, task.verdict.key)
        return self._in_flight.start(run, self._guarded(held, unsettled, attempt), attempt.call)

    async def _run(self, attempt: StartedAttempt, recorded: asyncio.Event | None) -> None:
        if recorded is not None:
            await recorded.wait()
        await self._runner.run(attempt)

    def _start_bare(
        self, attempt: Coroutine[Any, Any, None], unsettled: Callable[[], list[Record]], held: HeldSlot
    ) -> None:
        """Start what calls no function: a rejection, or the report of a loss."""
        self._scheduler.acquire(held.slot)
        self._in_flight.start(attempt, self._guarded(held, unsettled))

    def _guarded(
        self, held: HeldSlot, unsettled: Callable[[], list[Record]], attempt: StartedAttempt | None = None
    ) -> Callable[[BaseException | None], None]:
        """`_on_end` as a callback of the event loop, which would only log its error: the slot would never be free."""
        return self._supervisor.guard("the end of an attempt", partial(self._on_end, held, unsettled, attempt))

    def _start_held(self) -> None:
        self._slot_freed.set()
        while (scheduled := self._scheduler.next()) is not None:
            self._start_scheduled(scheduled)

    def _start_apart(self) -> asyncio.Task[None] | None:
        """Start the next record at its last chance; None if there is none that is still to be done."""
        while (scheduled := self._scheduler.next_apart()) is not None:
            record = scheduled.work.record
            if (attempt := self._start_scheduled(scheduled)) is not None:
                logger.warning("%r was started %d times in vain: it runs apart", record, record.deliveries - 1)
                return attempt
        return None

    def _start_scheduled(self, scheduled: Scheduled[QueuedTask]) -> asyncio.Task[None] | None:
        if self._is_still_due(scheduled.work):
            return self._start(scheduled.slot, scheduled.work)
        self._release(scheduled.slot)
        return None

    def _on_sending(self, held: HeldSlot, record: Record, seconds: float, size: int) -> None:
        """The function has ended, its result is about to be sent: the next task need not wait for Kafka.

        Within a key it does: tasks that are `ordered` begin when the result of the one before is durable.
        """
        if held.slot.key is None and self._release_early(held, size + size_of(record)):
            self.crash_guard.ended(record, seconds)

    def _on_told(self, held: HeldSlot, record: Record) -> None:
        """The caller of a rejected task has its answer, only the dead letter is still to be written."""
        if self._release_early(held, size_of(record)):
            self._consumer.set_aside([record])

    def _release_early(self, held: HeldSlot, size: int) -> bool:
        """Give the slot of what only waits for Kafka to the next task; False if too much waits already."""
        if not self._unacknowledged.try_add(size):
            return False
        held.unacknowledged = size
        asyncio.get_running_loop().call_soon(self._release_guarded, held.slot, context=self._context)
        return True

    def _release_and_start(self, slot: Slot) -> None:
        self._release(slot)
        self._start_held()

    def _on_end(
        self,
        held: HeldSlot,
        unsettled: Callable[[], list[Record]],
        attempt: StartedAttempt | None,
        error: BaseException | None,
    ) -> None:
        records = unsettled()
        again = self.admit if error is None else self._retry
        if held.unacknowledged is None:
            if attempt is not None:
                self.crash_guard.ended(attempt.record, attempt.call.seconds(time.monotonic()))
            self._release_and_start(held.slot)
        else:
            self._unacknowledged.remove(held.unacknowledged)
        for each in () if self._is_ending else records:  # without an error: replays of a dead letter
            again(each)

    def _release(self, slot: Slot) -> None:
        self._scheduler.release(slot)
        if self._scheduler.has_apart:
            self.crash_guard.notice_suspect()

    def _retry_unless_ending(self, record: Record) -> None:
        if not self._is_ending:
            self._retry(record)

    def _retry(self, record: Record) -> None:
        self._counts.retried += 1
        self._retrying += 1
        self._supervisor.call_later(self._retry_delay, "retry", lambda: self._admit_again(record))

    def _admit_again(self, record: Record) -> None:
        self._retrying -= 1
        if self._consumer.owns(record) and not self._is_ending:
            self.admit(record)
        else:
            self._counts.abandoned += 1

    def _is_still_due(self, task: QueuedTask) -> bool:
        key = task.verdict.key
        if not self._consumer.owns(task.record):
            self._say("released", "task released: its partition went to another worker", key)
            self._release_task(task)
            return False
        skip = decide_skip(key, task.verdict.headers, self._rules, self._now_ms(), self._find_cancel)
        if skip is None:
            return True
        self._count_skipped(skip)
        for record in self._table.finish(key):
            self._consumer.settle(record)
        return False

    def _release_task(self, task: QueuedTask, going: frozenset[TopicPartition] = frozenset()) -> list[Record]:
        """Forget a task that has not begun; returns its records that other workers get.

        Those of partitions that stay here are duplicates that waited for it: they come again from here alone.
        """
        self._counts.abandoned += 1
        gone = list[Record]()
        for record in self._table.abandon(task.verdict.key):
            if TopicPartition(record.topic, record.partition) in going or not self._consumer.owns(record):
                gone.append(record)
            else:
                self._retry_unless_ending(record)
        return gone

    def _count_skipped(self, skip: Skip) -> None:
        match skip:
            case SkipCancelled(key, cancel):
                self._say("skipped-cancelled", f"task skipped: cancelled by the caller ({cancel.reason})", key)
                self._counts.skipped_cancelled += 1
            case SkipExpired(key, limit, late_ms):
                self._say("skipped-expired", f"task skipped: {late_ms} ms past its {limit}", key)
                self._counts.skipped_expired += 1

    def _say(self, kind: str, event: str, key: AttemptKey) -> None:
        self._log.info(event, kind=kind, task_id=key.task_id, attempt=key.attempt)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _slot_of(task: QueuedTask) -> Slot:
    function, key = task.verdict.function, task.record.key
    order = (function.task_type.name, key) if function.ordered and key is not None else None
    return Slot(function.task_type.name, order, apart=task.verdict.last_chance)
