"""The course of one task through its attempts: what it waits for, and what follows when that comes.

Whoever drives it (`lookout.py`) waits, for one task or for a thousand at once; a course only decides:

    waits() ──completed──► advance() ──► ended, or a notice to the workers, or ready for the next attempt: renew()

One coroutine at a time; nothing is left running when a method returns. Which of two comes first is read from Restate's
journal, so a replay decides alike. Each attempt has an awakeable of its own; results of earlier attempts change
nothing, and a log line tells of those that are there when the task ends.

The invocation's cancellation (Restate's 409) goes through every method; the driver tells the workers.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any, Final, Generic, TypeVar

from restate import Context, RestateDurableFuture, wait_completed
from restate.logging import RestateLoggingFilter

from kallback.kafka import OutgoingRecord
from kallback.protocol import (
    ATTEMPT_TIMED_OUT,
    HEARTBEAT_LOST,
    NOT_STARTED,
    Attempt,
    Cancel,
    CancelReason,
    Problem,
    RetryAfter,
    TaskId,
)
from kallback.sdk.errors import InvalidResult, StaleResult, TaskError, TaskFailed, TaskNotSent
from kallback.sdk.journal.awakeables import PendingAttempt, open_attempt
from kallback.sdk.journal.identity import AttemptTimes, attempt_times_step, limits_attempts
from kallback.sdk.journal.outcomes import cancelled, not_sent, timed_out, too_slow
from kallback.sdk.monitoring.client import forget, watch
from kallback.sdk.tasks.task import FIRST_ATTEMPT, Shared, Task, Timer, Value

Result = TypeVar("Result")

_log: Final = logging.getLogger(__name__)
_log.addFilter(RestateLoggingFilter())  # says nothing while a journal is replayed
_UNTOLD: Final = frozenset({ATTEMPT_TIMED_OUT, HEARTBEAT_LOST, NOT_STARTED})
"""Failures that the attempt's worker does not know of."""


class Course(Generic[Result]):
    """One task on its way; made when its first attempt is identity.

    Attributes:
        ended: how it ended, for good; None while it has not.
        ready: the next attempt is to be dispatched now.
    """

    def __init__(self, ctx: Context, shared: Shared, task: Task[Result]) -> None:
        self.ctx: Final = ctx
        self.shared: Final = shared
        self.task: Final = task
        self.pending = self._open(FIRST_ATTEMPT, task.identity.first)
        self.limit = task.first_limit
        self.ended: Value[Result] | TaskError | None = None
        self.ready = False
        self._pause: Timer = None
        self._last: TaskFailed | None = None
        self._uncounted = 0
        self._given_up: list[PendingAttempt[Result]] = []
        self._notices: list[tuple[CancelReason, Attempt | None]] = []

    @property
    def task_id(self) -> TaskId:
        """Of all its attempts."""
        return self.task.identity.task_id

    @property
    def attempt(self) -> Attempt:
        """The present one."""
        return self.pending.headers.attempt

    def record(self) -> OutgoingRecord:
        """The present attempt on its way to a worker."""
        task = self.task
        return OutgoingRecord(task.task_type.topic, task.request, task.key, self.pending.headers.encode())

    def name(self, action: str) -> str:
        """What Restate's journal shows."""
        again = "" if self.attempt == FIRST_ATTEMPT else f" attempt {self.attempt}"
        return f"{action} {self.task.task_type.name}{again}"

    def waits(self) -> list[RestateDurableFuture[Any]]:
        """What the next `advance` needs one of."""
        if self._pause is not None:
            candidates: list[RestateDurableFuture[Any] | None] = [self._pause, self.task.timer]
        else:
            candidates = [self.pending.future, self.limit, self.task.timer]
        return [future for future in candidates if future is not None]

    async def advance(self, completed: Collection[int]) -> None:
        """Draw the consequences; `completed` are the ids (`id()`) of those futures that are completed.

        A result that is there counts, though the deadline has passed as well; after a failed attempt the deadline does.
        """
        if self._pause is None and id(self.pending.future) in completed:
            await self._settle()
        elif self.task.timer is not None and id(self.task.timer) in completed:
            self.notice(CancelReason.TIMED_OUT)
            self.end(timed_out(self.task.task_type.name, self.task.identity, self.attempt, self._last))
        elif self._pause is not None and id(self._pause) in completed:
            self._pause, self.ready = None, True
        elif self.limit is not None and id(self.limit) in completed:
            self._given_up.append(self.pending)
            task_type = self.task.task_type
            self._failed(too_slow(task_type.name, self.task_id, self.attempt, task_type.attempt_timeout))
        if self.ended is not None and self._given_up:
            await self._report_late()

    async def renew(self) -> None:
        """Open the next attempt: a new awakeable, its own times, and somebody who watches over it.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        task_type, attempt = self.task.task_type, Attempt(self.attempt + 1)
        self.ready, self.limit = False, None
        dispatch = None
        if limits_attempts(task_type):
            dispatch = await attempt_times_step(self.ctx, self.shared.clock, task_type, self.task.identity, attempt)
        self.pending = self._open(attempt, dispatch)
        if task_type.attempt_timeout is not None:
            self.limit = self.ctx.sleep(task_type.attempt_timeout, self.name("attempt deadline"))
        if dispatch is not None and task_type.monitored:
            details = await watch(self.ctx, self.pending, dispatch, self.task.identity.deadline_ms)
            self.pending = self.pending.after(details)

    def unsent(self) -> None:
        """The present attempt's time is over, and Kafka never acknowledged it: the next one does not count."""
        self._uncounted += 1
        self._given_up.append(self.pending)
        self.ready = True

    def not_sent(self, kind: str, status: int, detail: str) -> TaskNotSent:
        """The error for a task that Kafka does not have."""
        return not_sent(self.task.task_type.name, self.task_id, self.attempt, Problem(kind, status, detail))

    def cancel(self) -> None:
        """End because nobody waits any more."""
        self.notice(CancelReason.CANCELLED)
        self.end(cancelled(self.task.task_type.name, self.task_id, self.attempt))

    def abandon(self) -> None:
        """The invocation was cancelled; it has not ended, for a handler may go on after that."""
        self.notice(CancelReason.CANCELLED)
        self._forget()

    def end(self, how: Value[Result] | TaskError) -> None:
        """It ended; `TaskMonitor` forgets it."""
        if self.ended is None:
            self._forget()
        self.ended, self.ready = how, False

    def notice(self, reason: CancelReason, attempt: Attempt | None = None) -> None:
        """Something to tell the workers."""
        self._notices.append((reason, attempt))

    def take_notices(self) -> list[Cancel]:
        """What there is to tell the workers, once. Whoever tells it puts in the time."""
        notices, self._notices = self._notices, []
        return [Cancel(self.task_id, reason, 0, attempt) for reason, attempt in notices]

    async def _settle(self) -> None:
        try:
            value = await self.pending.value()
        except StaleResult:  # the awakeable is used up by an earlier run: the attempt itself did not fail
            self._uncounted += 1
            self.notice(CancelReason.SUPERSEDED, self.attempt)
            self.ready = True
        except InvalidResult as error:  # a worker or a type that must be repaired: the next answer would be the same
            self.end(error)
        except TaskFailed as error:
            self._failed(error)
        else:
            self.end(Value(value))

    def _failed(self, error: TaskFailed) -> None:
        policy, untold = self.task.task_type.retry, error.type in _UNTOLD
        verdict = None if policy is None else policy.after(Attempt(self.attempt - self._uncounted), error.problem)
        if not isinstance(verdict, RetryAfter):
            if untold:
                self.notice(CancelReason.TIMED_OUT)
            self.end(error)
            return
        self._last = error
        if untold:
            self.notice(CancelReason.SUPERSEDED, self.attempt)
        if verdict.delay:
            self._pause = self.ctx.sleep(verdict.delay, self.name("back off"))
        else:
            self.ready = True

    def _forget(self) -> None:
        if self.task.task_type.monitored:
            forget(self.ctx, self.task_id)

    def _open(self, attempt: Attempt, dispatch: AttemptTimes | None) -> PendingAttempt[Result]:
        task = self.task
        return open_attempt(self.ctx, task.task_type, task.identity, attempt, self.shared.signing, dispatch)

    async def _report_late(self) -> None:
        """Say in the log which attempts answered after they were given up; no journal entry, nothing to wait for."""
        completed, _ = await wait_completed(*self.waits(), *(pending.future for pending in self._given_up))
        there = {id(future) for future in completed}
        for pending in self._given_up:
            if id(pending.future) in there:
                _log.warning(
                    "%s, task %s: a result of attempt %d came after that attempt was given up, and was dropped",
                    self.task.task_type.name,
                    self.task_id,
                    pending.headers.attempt,
                )
