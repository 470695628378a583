"""One task through all its attempts: what it waits for, and what follows when that comes.

    futures() ──completed──► advance() ──► ended, or a cancel for the workers, or ready for the next attempt: renew()

A running task decides; `publishing.py` publishes its attempts and `wait_loop.py` waits, for one task or for a thousand.

One coroutine at a time; nothing runs after a method has returned. Restate's journal decides which of two futures comes
first, so a replay decides the same way. Each attempt has its own awakeable. A result of an earlier attempt changes
nothing; if it is there when the task ends, a log line says so.

The invocation's cancellation (Restate's 409) passes through every method; `cancellation.py` then tells the workers.
"""

from __future__ import annotations

import logging
from collections.abc import Set as AbstractSet
from typing import Any, Final, Generic, TypeVar

from restate import Context, RestateDurableFuture, TerminalError, wait_completed
from restate.logging import RestateLoggingFilter
from restate.server_context import ServerDurableFuture

from kallback.kafka import OutgoingRecord
from kallback.protocol import (
    ATTEMPT_TIMED_OUT,
    HEARTBEAT_LOST,
    NOT_STARTED,
    Attempt,
    CancelReason,
    Problem,
    RetryAfter,
    TaskId,
)
from kallback.sdk.errors import (
    GATEWAY_TIMEOUT,
    NOT_WATCHED,
    InvalidResult,
    StaleResult,
    TaskError,
    TaskFailed,
    TaskNotSent,
    attempt_timed_out,
    cancelled_by_handler,
    timed_out,
)
from kallback.sdk.journal.awakeables import PendingAttempt, open_attempt
from kallback.sdk.journal.identity import AttemptTimes, attempt_times_step, limits_attempts
from kallback.sdk.monitoring.client import forget, watch
from kallback.sdk.tasks.cancel_queue import CancelQueue
from kallback.sdk.tasks.task import FIRST_ATTEMPT, TaskDependencies, TaskSpec, TaskValue, Timer

Result = TypeVar("Result")
Future = RestateDurableFuture[Any]

_log: Final = logging.getLogger(__name__)
_log.addFilter(RestateLoggingFilter())  # no line while a journal is replayed
_UNKNOWN_TO_WORKER: Final = frozenset({ATTEMPT_TIMED_OUT, HEARTBEAT_LOST, NOT_STARTED})
"""Failures that the attempt's worker has not reported itself."""
_NOT_WATCHED: Final = (
    "TaskMonitor did not answer before the deadline: bind callbacks.services in a Restate service and register it, or "
    "declare the task type without start_timeout and heartbeat_every"
)


class RunningTask(Generic[Result]):
    """One task of one handler, from the creation of its first attempt to its end.

    Attributes:
        cancels: for the workers, not yet published.
        ended: the final value or error; None while the task runs.
        ready: the next attempt is due for `renew` and publication.
    """

    def __init__(self, ctx: Context, dependencies: TaskDependencies, spec: TaskSpec[Result]) -> None:
        self.ctx: Final = ctx
        self.dependencies: Final = dependencies
        self.spec: Final = spec
        self.cancels: Final = CancelQueue(spec.identity.task_id)
        self.pending = self._open(FIRST_ATTEMPT, spec.identity.first)
        self.limit = spec.first_limit
        self.ended: TaskValue[Result] | TaskError | None = None
        self.ready = False
        self._awaited = True  # the current attempt has no outcome yet
        self._pause: Timer = None
        self._last_failure: TaskFailed | None = None
        self._uncounted = 0
        self._given_up: list[PendingAttempt[Result]] = []

    @property
    def task_id(self) -> TaskId:
        """Shared by all attempts."""
        return self.spec.identity.task_id

    @property
    def attempt(self) -> Attempt:
        """Number of the current attempt, from 1."""
        return self.pending.headers.attempt

    def record(self) -> OutgoingRecord:
        """The task record of the current attempt."""
        spec = self.spec
        return OutgoingRecord(spec.task_type.topic, spec.request, spec.key, self.pending.headers.encode())

    def name(self, action: str) -> str:
        """The name of a journal entry of the current attempt."""
        suffix = "" if self.attempt == FIRST_ATTEMPT else f" attempt {self.attempt}"
        return f"{action} {self.spec.task_type.name}{suffix}"

    def futures(self) -> list[Future]:
        """The futures to wait for; `advance` needs at least one of them completed."""
        if self._pause is not None:
            candidates: list[Future | None] = [self._pause, self.spec.timer]
        else:
            candidates = [self.pending.future, self.limit, self.spec.timer]
        return [future for future in candidates if future is not None]

    async def advance(self, completed: AbstractSet[Future]) -> None:
        """Act on completed futures.

        A result that is there counts, even if the deadline has passed as well. After a failed attempt the deadline
        decides.
        """
        timer = self.spec.timer
        if self._pause is None and self.pending.future in completed:
            await self._settle()
            if self.ready and timer in completed:
                self.time_out()
        elif timer is not None and timer in completed:
            self.time_out()
        elif self._pause is not None and self._pause in completed:
            self._pause, self.ready = None, True
        elif self.limit is not None and self.limit in completed:
            self._awaited = False
            self._given_up.append(self.pending)
            task_type = self.spec.task_type
            self._fail(attempt_timed_out(task_type.name, self.task_id, self.attempt, task_type.attempt_timeout))
        if self.ended is not None and self._given_up:
            await self._log_late_results()

    async def renew(self) -> None:
        """Open the next attempt: a new awakeable, new times, and a new watch by `TaskMonitor`. It may end the task.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        task_type, attempt = self.spec.task_type, Attempt(self.attempt + 1)
        self.ready, self.limit = False, None
        times = None
        if limits_attempts(task_type):
            clock = self.dependencies.clock
            times = await attempt_times_step(self.ctx, clock, task_type, self.spec.identity, attempt)
        self.pending, self._awaited = self._open(attempt, times), True
        if task_type.attempt_timeout is not None:
            self.limit = self.ctx.sleep(task_type.attempt_timeout, self.name("attempt deadline"))
        if times is not None and task_type.monitored:
            await self.watched(self.watch(times))

    def watch(self, times: AttemptTimes) -> RestateDurableFuture[bytes]:
        """Call `TaskMonitor` for the current attempt; `watched` waits for the answer."""
        return watch(self.ctx, self.pending, times, self.spec.identity.deadline_ms)

    async def watched(self, answer: RestateDurableFuture[bytes]) -> None:
        """Wait until the current attempt is watched; without an answer before the deadline the task ends.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        if not await self.completed_in_time(answer):
            self.end_unpublished_at_deadline(NOT_WATCHED, GATEWAY_TIMEOUT, _NOT_WATCHED)
            return
        try:
            self.pending = self.pending.after(await answer)
        except TerminalError as error:  # of the call: a cancellation is raised before it is completed
            self.end_unpublished(NOT_WATCHED, error.status_code, f"TaskMonitor does not watch it: {error.message}")

    async def completed_in_time(self, future: Future) -> bool:
        """Wait for a future until the task's deadline; whether the future is completed.

        Raises:
            TerminalError: the invocation was cancelled (409). Nothing else raises here: failures stay in the future,
                so that a 409 of a worker is never mistaken for a cancellation, nor the reverse.
        """
        timer = self.spec.timer
        completed, _ = await wait_completed(*([future] if timer is None else [future, timer]))
        return future in completed

    def give_up_unpublished(self) -> None:
        """Give up the current attempt, which Kafka never acknowledged in its time. It does not count as an attempt."""
        self._uncounted += 1
        self._given_up.append(self.pending)
        self.ready = True

    def end_unpublished(self, kind: str, status: int, detail: str) -> None:
        """End because the current attempt cannot be published."""
        problem = Problem(kind, status, detail)
        name = self.spec.task_type.name
        self.end(TaskNotSent(problem, task_type=name, task_id=self.task_id, attempt=self.attempt))

    def end_unpublished_at_deadline(self, kind: str, status: int, detail: str) -> None:
        """End because the current attempt was not published before the deadline; workers of earlier ones must know."""
        if self._last_failure is not None:
            detail = f"{detail}; attempt {self._last_failure.attempt} failed: {self._last_failure.message}"
        if self.attempt != FIRST_ATTEMPT:
            self.cancels.add(CancelReason.TIMED_OUT)
        self.end_unpublished(kind, status, detail)

    def time_out(self) -> None:
        """End because the deadline has passed; the workers must know."""
        self.cancels.add(CancelReason.TIMED_OUT)
        name, deadline = self.spec.task_type.name, self.spec.identity.deadline
        self.end(timed_out(name, self.task_id, self.attempt, deadline, self._last_failure))

    def cancel(self) -> None:
        """End because the handler does not wait any more; the workers must know."""
        self.cancels.add(CancelReason.CANCELLED)
        self.end(cancelled_by_handler(self.spec.task_type.name, self.task_id, self.attempt))

    def abandon(self) -> None:
        """The invocation was cancelled. The task has not ended: the handler may catch the 409 and wait again."""
        self.cancels.add(CancelReason.CANCELLED)
        self._forget()

    def end(self, outcome: TaskValue[Result] | TaskError) -> None:
        """End with a value or an error; `TaskMonitor` forgets the task."""
        if self.ended is None:
            self._forget()
        self.ended, self.ready = outcome, False

    async def keep_result(self) -> None:
        """After or before `cancel`: if the current attempt has an outcome, it is the task's. It is never retried."""
        if not (self._awaited and _is_completed(self.pending.future)):
            return
        self._awaited = False
        try:
            self.end(TaskValue(await self.pending.value()))
        except StaleResult:
            return
        except TaskFailed as error:
            self.end(error)

    async def _settle(self) -> None:
        self._awaited = False
        try:
            value = await self.pending.value()
        except StaleResult:  # the awakeable was completed by an earlier run: the attempt itself did not fail
            self._uncounted += 1
            self.cancels.add(CancelReason.SUPERSEDED, self.attempt)
            self.ready = True
        except InvalidResult as error:  # the worker or the type must be repaired: another attempt returns the same
            self.end(error)
        except TaskFailed as error:
            self._fail(error)
        else:
            self.end(TaskValue(value))

    def _fail(self, error: TaskFailed) -> None:
        policy, unknown = self.spec.task_type.retry, error.type in _UNKNOWN_TO_WORKER
        verdict = None if policy is None else policy.after(Attempt(self.attempt - self._uncounted), error.problem)
        if not isinstance(verdict, RetryAfter):
            if unknown:
                self.cancels.add(CancelReason.TIMED_OUT)
            self.end(error)
            return
        self._last_failure = error
        if unknown:
            self.cancels.add(CancelReason.SUPERSEDED, self.attempt)
        if verdict.delay:
            self._pause = self.ctx.sleep(verdict.delay, self.name("back off"))
        else:
            self.ready = True

    def _forget(self) -> None:
        if self.spec.task_type.monitored:
            forget(self.ctx, self.task_id)

    def _open(self, attempt: Attempt, times: AttemptTimes | None) -> PendingAttempt[Result]:
        spec = self.spec
        return open_attempt(self.ctx, spec.task_type, spec.identity, attempt, self.dependencies.signing, times)

    async def _log_late_results(self) -> None:
        """Log which attempts were completed after they were given up. No journal entry, and nothing to wait for."""
        completed, _ = await wait_completed(*self.futures(), *(pending.future for pending in self._given_up))
        for pending in self._given_up:
            if pending.future in completed:
                _log.warning(
                    "%s, task %s: a result of attempt %d came after that attempt was given up, and was dropped",
                    self.spec.task_type.name,
                    self.task_id,
                    pending.headers.attempt,
                )


def _is_completed(future: Future) -> bool:
    """Whether a future is completed, without a wait. It follows from the waits before, so a replay sees the same."""
    return isinstance(future, ServerDurableFuture) and bool(future.is_completed())  # type: ignore[no-untyped-call]  # it has no annotation
