"""The fetch loop: take records while there is room, decide each, apply the verdict.

No more is fetched than can run now, so no fetched record waits while another worker is idle, and a rebalance waits for
running work only. Between the judging of one record and the obeying nothing is awaited: two copies in one batch are a
run and a copy attached to it.

The exception are types with a limit or an order: a record of a full type or a busy key is *held back* here while
records of others are fetched. How many, the consumer bounds per partition (`ConsumerOptions.unfinished_records`): so a
full type stops the fetching of the partitions that are full of it, and of no others. Held work counts as running for
copies; when its turn comes it is judged again, and given back if its partition has gone meanwhile.

A record that processes died of comes again with the number of its starts. At its last chance it waits until nothing
else runs, and nothing else begins beside it: so nobody is parked for another one's fault.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, assert_never

from kallback.kafka import Record
from kallback.workers.attempts.decide import (
    AttachToRunning,
    AttemptTable,
    DeadLetterTask,
    DropFinished,
    Reject,
    Run,
    Skip,
    SkipCancelled,
    SkipExpired,
    Verdict,
)
from kallback.workers.attempts.heartbeats import HeartbeatSender, HeartbeatSenders
from kallback.workers.attempts.runner import AttemptRunner
from kallback.workers.context import context_of
from kallback.workers.execution.function_call import FunctionCall
from kallback.workers.execution.process_pool import ProcessPool
from kallback.workers.intake.consumer_supervisor import ConsumerSupervisor
from kallback.workers.intake.in_flight import InFlight
from kallback.workers.intake.scheduler import Scheduler, Slot
from kallback.workers.observability.stats import WorkerCounts

logger = logging.getLogger(__name__)

_ANY: Final = Slot()


@dataclass(frozen=True, slots=True)
class QueuedAttempt:
    """A task that is to be done."""

    record: Record
    verdict: Run


@dataclass(frozen=True, slots=True)
class FetchLoop:
    """Turns records into runner."""

    consumer: ConsumerSupervisor
    attempts: AttemptTable
    runner: AttemptRunner
    in_flight: InFlight
    scheduler: Scheduler[QueuedAttempt]
    heartbeat_senders: HeartbeatSenders
    processes: ProcessPool
    counts: WorkerCounts
    clock: Callable[[], float] = field(repr=False)
    _last_chances: deque[QueuedAttempt] = field(init=False, repr=False, default_factory=deque[QueuedAttempt])
    _epochs: dict[tuple[str, int], int] = field(init=False, repr=False, default_factory=dict[tuple[str, int], int])
    _room: asyncio.Event = field(init=False, repr=False, default_factory=asyncio.Event)

    async def run(self) -> None:
        """Go on until cancelled.

        Raises:
            MissingTopicError: a task topic was deleted.
            AccessDeniedError: a permission was withdrawn.
        """
        while True:
            while self.scheduler.free < 1:
                self._room.clear()
                await self._room.wait()
            await self._apply_all(await self.consumer.fetch(self.scheduler.free))
            await self._run_alone()

    async def _apply_all(self, records: Sequence[Record]) -> None:
        """Obey the verdicts; what begins waits for its start to be noted, where that matters.

        The notes are committed on a timer, so a record that kills its process at once is not in them. But it is the
        first that comes after the next start: so the first records of an assignment wait for a commit.
        """
        noted = asyncio.get_running_loop().create_future() if self._are_first(records) else None
        for record in records:
            self.apply(record, self.attempts.decide(record, self._now_ms()), noted)
        if noted is not None:
            await self._note(noted)

    async def _note(self, noted: asyncio.Future[None]) -> None:
        try:
            await self.consumer.commit()
        finally:
            noted.set_result(None)  # also at the end of fetching: what waits for it is to be drained

    def _are_first(self, records: Sequence[Record]) -> bool:
        epochs = {(record.topic, record.partition): record.epoch for record in records}
        fresh = any(self._epochs.get(partition) != epoch for partition, epoch in epochs.items())
        self._epochs.update(epochs)
        return fresh

    async def _run_alone(self) -> None:
        """Run those that have their last chance, one after the other, with nothing else in this process."""
        while self._last_chances:
            await self._idle()
            if not self._last_chances:  # given back meanwhile
                return
            pending = self._last_chances.popleft()
            if self._is_still_due(pending):
                logger.warning(
                    "%r was started %d times in vain: it runs alone", pending.record, pending.record.deliveries - 1
                )
                self.scheduler.acquire(_ANY)
                noted = asyncio.get_running_loop().create_future()
                self._begin(_ANY, pending, noted)
                await self._note(noted)
                await self._idle()

    async def _idle(self) -> None:
        while self.in_flight:
            self._room.clear()
            await self._room.wait()

    def release_held(self) -> None:
        """Leave what is held to another worker."""
        for pending in (*self.scheduler.clear_held(), *self._last_chances):
            self._release_held(pending)
        self._last_chances.clear()

    def apply(self, record: Record, verdict: Verdict, noted: asyncio.Future[None] | None = None) -> None:
        """Do what the verdict says; what runs waits for `noted`."""
        match verdict:
            case Run():
                self._take(QueuedAttempt(record, verdict), noted)
            case Reject(key):
                self.attempts.begin(key, record)
                self._begin_bare(self.runner.reject(record, verdict))
            case DeadLetterTask():
                self._begin_bare(self.runner.dead_letter(record, verdict))
            case AttachToRunning(key):
                logger.info("%r is a copy of running task %r attempt %d, settled with it", record, *key)
                self.counts.attached += 1
                self.attempts.attach(key, record)
            case DropFinished(key):
                logger.info("%r is a copy of finished task %r attempt %d, dropped", record, *key)
                self.counts.dropped += 1
                self.consumer.settle(record)
            case SkipCancelled() | SkipExpired():
                self._skip(verdict)
                self.consumer.settle(record)
            case _:
                assert_never(verdict)

    def _skip(self, verdict: Skip) -> None:
        match verdict:
            case SkipCancelled(key, cancel):
                logger.info("task %r attempt %d skipped: the caller waits no more (%s)", *key, cancel.reason)
                self.counts.skipped_cancelled += 1
            case SkipExpired(key, limit, late_ms):
                logger.info("task %r attempt %d skipped: %d ms past its %s", *key, late_ms, limit)
                self.counts.skipped_expired += 1

    def _take(self, pending: QueuedAttempt, noted: asyncio.Future[None] | None) -> None:
        self.attempts.begin(pending.verdict.key, pending.record)
        if pending.verdict.last_chance:
            self._last_chances.append(pending)
            return
        slot = _slot_of(pending)
        if self.scheduler.try_acquire(slot, pending):
            self._begin(slot, pending, noted)

    def _begin(self, slot: Slot, pending: QueuedAttempt, noted: asyncio.Future[None] | None = None) -> None:
        self.consumer.started(pending.record)
        verdict, heartbeat_sender = pending.verdict, self.heartbeat_senders.of(pending.verdict.headers)
        beat = None if heartbeat_sender is None else heartbeat_sender.beat
        context = context_of(verdict.headers, on_heartbeat=beat, clock=self.clock)
        call = FunctionCall(verdict.function, verdict.request, context, self.processes, beat or _unheard)
        attempt = self._live(pending, call, heartbeat_sender, noted)
        self.in_flight.begin(attempt, partial(self._release, slot), call)

    async def _live(
        self,
        pending: QueuedAttempt,
        call: FunctionCall,
        heartbeat_sender: HeartbeatSender | None,
        noted: asyncio.Future[None] | None,
    ) -> None:
        if noted is not None:
            await asyncio.shield(noted)
        await self.runner.run(pending.record, pending.verdict, call, heartbeat_sender)

    def _begin_bare(self, attempt: Coroutine[Any, Any, None]) -> None:
        self.scheduler.acquire(_ANY)
        self.in_flight.begin(attempt, partial(self._release, _ANY))

    def _release(self, slot: Slot) -> None:
        self.scheduler.release(slot)
        self._room.set()
        while (scheduled := self.scheduler.next()) is not None:
            if self._is_still_due(scheduled.work):
                self._begin(scheduled.slot, scheduled.work)
            else:
                self.scheduler.release(scheduled.slot)

    def _is_still_due(self, pending: QueuedAttempt) -> bool:
        key = pending.verdict.key
        if not self.consumer.owns(pending.record):
            logger.info("task %r attempt %d is given back: its partition went to another worker", *key)
            self._release_held(pending)
            return False
        skip = self.attempts.skip(key, pending.verdict.headers, self._now_ms())
        if skip is None:
            return True
        self._skip(skip)
        for record in self.attempts.finish(key):
            self.consumer.settle(record)
        return False

    def _release_held(self, pending: QueuedAttempt) -> None:
        self.attempts.abandon(pending.verdict.key)
        self.counts.abandoned += 1

    def _now_ms(self) -> int:
        return int(self.clock() * 1000)


def _slot_of(pending: QueuedAttempt) -> Slot:
    function, key = pending.verdict.function, pending.record.key
    key_queue = (function.task_type.name, key) if function.ordered and key is not None else None
    return Slot(function.task_type.name, key_queue)


def _unheard(_details: bytes) -> None:
    pass
