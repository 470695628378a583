"""One task through all its attempts: what it waits for, and what follows when that comes.

    futures() ──completed──► advance() ──► ended, or a cancel for the workers, or ready for the next attempt: renew()

A running task decides; `publishing.py` publishes its attempts and `wait_loop.py` waits, for one task or for a thousand.
Nothing here waits for Kafka or for `TaskMonitor`.

One coroutine at a time; nothing runs after a method has returned. Restate's journal decides which of two futures comes
first, so a replay decides the same way. Each attempt has its own awakeable. A result of an earlier attempt changes
nothing; if it is there when the task ends, a log line says so.

The invocation's cancellation (Restate's 409) passes through every method; `cancellation.py` then tells the workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Generic, Protocol, TypeVar

from restate import Context, RestateDurableFuture

from kallback.kafka import OutgoingRecord, Placement
from kallback.protocol import (
    ATTEMPT_TIMED_OUT,
    HEARTBEAT_LOST,
    NOT_STARTED,
    Attempt,
    Cancel,
    CancelReason,
    Problem,
    TaskId,
)
from kallback.protocol.cancel_secrets import last_of_chain
from kallback.protocol.long_tasks.hand_backs import silent_partitions
from kallback.protocol.long_tasks.last_details import details_of, without_details
from kallback.protocol.problems import HANDED_BACK
from kallback.protocol.tokens import FIRST_ATTEMPT
from kallback.sdk.errors import (
    NOT_WATCHED,
    InvalidResult,
    StaleResult,
    TaskError,
    TaskFailed,
    TaskNotSent,
    attempt_timed_out,
    cancelled_by_handler,
    not_retried,
    timed_out,
)
from kallback.sdk.journal.awakeables import Awakeable, PendingAttempt, open_attempt
from kallback.sdk.journal.identity import AttemptTimes, attempt_times_step, limits_attempts
from kallback.sdk.monitoring.client import watch_request
from kallback.sdk.monitoring.decide import WatchRequest
from kallback.sdk.monitoring.unknown_service import UnknownMonitorError
from kallback.sdk.observability.counts import AttemptEnd, attempt_end_of
from kallback.sdk.tasks.cancel_queue import CancelQueue
from kallback.sdk.tasks.delays import pause_after, retry_after, silence_before
from kallback.sdk.tasks.late_results import is_completed, log_late_results
from kallback.sdk.tasks.silent_partitions import SilentPartitions
from kallback.sdk.tasks.task import (
    TaskDependencies,
    TaskSpec,
    TaskValue,
    Timer,
    pause_name,
    retries_lost,
    takes_back,
)

Result = TypeVar("Result")
Future = RestateDurableFuture[Any]

_UNKNOWN_TO_WORKER: Final = frozenset({ATTEMPT_TIMED_OUT, HEARTBEAT_LOST, NOT_STARTED})
"""Failures that the attempt's worker has not reported itself."""


class Waiter(Protocol):
    """What waits for futures: a task for its result, or attempts for their publication."""

    @property
    def tasks(self) -> Sequence[RunningTask[Any]]:
        """Which `advance` may change."""
        ...

    def futures(self) -> list[Future]:
        """The futures to wait for; `advance` needs at least one of them completed."""
        ...

    async def advance(self, completed: AbstractSet[Future]) -> None:
        """Act on completed futures."""
        ...


class RunningTask(Generic[Result]):
    """One task of one handler, from the creation of its first attempt to its end.

    Attributes:
        cancels: for the workers.
        ended: the final value or error; None while the task runs.
        ready: the next attempt is due for `renew` and publication.
        publication: of the current attempt, while Kafka does not have it.
        partition: where the record of the current attempt is, as far as known.
    """

    def __init__(self, ctx: Context, dependencies: TaskDependencies, spec: TaskSpec[Result]) -> None:
        self.ctx: Final = ctx
        self.dependencies: Final = dependencies
        self.spec: Final = spec
        self.cancels: Final = CancelQueue(spec.identity.task_id)
        self.limit = spec.first_limit
        self.ended: TaskValue[Result] | TaskError | None = None
        self.ready = False
        self.publication: Waiter | None = None
        self.partition: int | None = None
        self._times = spec.identity.first
        self._awaited = True  # the current attempt has no outcome yet
        self._pause: Timer = None
        self._last_failure: TaskFailed | None = None
        self._uncounted = 0
        self.pending = self._open(FIRST_ATTEMPT, self._times)
        self._given_up: list[PendingAttempt[Result]] = []
        self._silent = SilentPartitions()
        self._is_known_to_monitor = True
        self._hand_backs = 0
        self._details = b""  # what the attempt before ended with
        dependencies.observer.counts.add(self)

    @property
    def type_name(self) -> str:
        """Of its type."""
        return self.spec.task_type.name

    @property
    def waits(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    @property
    def tasks(self) -> Sequence[RunningTask[Result]]:
        """Itself."""
        return (self,)

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
        spec, headers = self.spec, self.pending.headers.encode()
        return OutgoingRecord(spec.task_type.topic, spec.request, spec.key, headers, self._placement())

    def with_secret(self, cancel: Cancel) -> Cancel:
        """A cancel of this task with what proves it to workers."""
        attempt = last_of_chain(self.attempt) if cancel.attempt is None else cancel.attempt
        return replace(cancel, secret=self.dependencies.signing.cancel_secret(self.spec.identity, attempt))

    def name(self, action: str) -> str:
        """The name of a journal entry of the current attempt."""
        return f"{action} {self.type_name}" + ("" if self.attempt == FIRST_ATTEMPT else f" attempt {self.attempt}")

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
            limit = self.spec.task_type.attempt_timeout
            self._fail(attempt_timed_out(self.type_name, self.task_id, self.attempt, limit))
        if self.ended is not None and self._given_up:
            await log_late_results(self.type_name, self.task_id, self._given_up, self.futures())

    async def renew(self) -> None:
        """Open the next attempt: a new awakeable and new times.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        task_type, attempt, times = self.spec.task_type, Attempt(self.attempt + 1), None
        if limits_attempts(task_type):
            clock = self.dependencies.clock
            times = await attempt_times_step(self.ctx, clock, task_type, self.spec.identity, attempt)
        self.ready, self.limit, self._times = False, None, times
        self._silent.begin(None if times is None else times.at_ms)
        self.pending, self._awaited = self._open(attempt, times), True
        if task_type.attempt_timeout is not None:
            self.limit = self.ctx.sleep(task_type.attempt_timeout, self.name("attempt deadline"))
        if not task_type.monitored:
            self.continue_from(b"")

    def watch_request(self) -> WatchRequest | None:
        """What `TaskMonitor` must know of the current attempt; None if its type needs no `TaskMonitor`."""
        if self._times is None or not self.spec.task_type.monitored:
            return None
        return watch_request(self.pending, self._times, self.spec.identity.deadline_ms, self._details)

    def continue_from(self, details: bytes) -> None:
        """Give the current attempt the last details: those of the end of the one before, or what `TaskMonitor` has.

        `TaskMonitor` has both from then on.
        """
        self.pending = self.pending.after(self._details or details)
        if self.spec.task_type.monitored:
            self._details = b""

    def end_unwatched(self, error: UnknownMonitorError) -> None:
        """End because Restate does not know `TaskMonitor`: a message to it would not arrive either."""
        self._is_known_to_monitor = False
        self.end_unpublished(NOT_WATCHED, error.status_code, error.message)

    def give_up_unpublished(self) -> None:
        """Give up the current attempt, which Kafka never acknowledged in its time. It does not count as an attempt."""
        self._uncounted += 1
        self._given_up.append(self.pending)
        self.ready = True

    def end_unpublished(self, kind: str, status: int, detail: str) -> None:
        """End because the current attempt cannot be published."""
        problem = Problem(kind, status, detail)
        self.end(TaskNotSent(problem, task_type=self.type_name, task_id=self.task_id, attempt=self.attempt))

    def end_unpublished_at_deadline(self, kind: str, status: int, detail: str) -> None:
        """End because the current attempt was not published before the deadline; workers of earlier ones must know."""
        if self._last_failure is not None:
            detail = f"{detail}; attempt {self._last_failure.attempt} failed: {self._last_failure.message}"
        if self.attempt != FIRST_ATTEMPT:
            self.cancels.add(CancelReason.TIMED_OUT, self.attempt, is_final=True)
        self.end_unpublished(kind, status, detail)

    def time_out(self) -> None:
        """End because the deadline has passed; the workers must know."""
        self.cancels.add(CancelReason.TIMED_OUT, self.attempt, is_final=True)
        deadline = self.spec.identity.deadline
        self.end(timed_out(self.type_name, self.task_id, self.attempt, deadline, self._last_failure))

    def cancel(self) -> None:
        """End because the handler does not wait any more; the workers must know."""
        self.cancels.add(CancelReason.CANCELLED, self.attempt, is_final=True)
        self.end(cancelled_by_handler(self.spec.task_type.name, self.task_id, self.attempt))

    def abandon(self) -> None:
        """The invocation was cancelled. The task has not ended: the handler may catch the 409 and wait again.

        Attempts that follow are not cancelled; one follows where the current one was not acknowledged.
        """
        self.cancels.add(CancelReason.CANCELLED, self.attempt)
        self._forget()
        if self.publication is not None and not is_completed(self.pending.future):
            self.publication = None
            self.give_up_unpublished()

    def end(self, outcome: TaskValue[Result] | TaskError) -> None:
        """End with a value or an error; `TaskMonitor` forgets the task."""
        if self.ended is None:
            error = outcome if isinstance(outcome, TaskError) else None
            self.dependencies.observer.ended(self.ctx, self.type_name, self.spec.identity, error)
            self._forget()
        self.ended, self.ready, self.publication = outcome, False, None

    async def keep_result(self) -> None:
        """After or before `cancel`: what is there is the task's end, but for a failure that another attempt follows."""
        if not (self._awaited and is_completed(self.pending.future)):
            return
        self._awaited = False
        try:
            self.end(TaskValue(await self.pending.value()))
        except StaleResult:
            return
        except TaskFailed as error:
            if not (self._is_hand_back(error) or retry_after(error, self.spec.task_type, self._counted(self.attempt))):
                self.end(self._take_details(error))

    async def _settle(self) -> None:
        self._awaited = False
        try:
            self.end(TaskValue(await self.pending.value()))
        except StaleResult:  # the awakeable was completed by an earlier run: the attempt itself did not fail
            self._uncounted += 1
            self._observe_end(AttemptEnd.STALE)
            self.cancels.add(CancelReason.SUPERSEDED, self.attempt)
            self.ready = True
        except InvalidResult as error:  # the worker or the type must be repaired: another attempt returns the same
            self.end(error)
        except TaskFailed as error:
            if self._is_hand_back(error):
                self._take_back(error.problem)
            else:
                self._fail(self._take_details(error))

    def _is_hand_back(self, error: TaskFailed) -> bool:
        return error.type == HANDED_BACK and self.pending.headers.hand_back

    def _take_back(self, problem: Problem) -> None:
        """The worker stopped: the next attempt continues at once, and this one does not count.

        Its worker is told nevertheless: Kafka may deliver the record once more.
        """
        self._uncounted += 1
        self._observe_end(AttemptEnd.HANDED_BACK)
        self._hand_backs += 1
        self._details = details_of(problem) or self._details
        self.cancels.add(CancelReason.SUPERSEDED, self.attempt)
        self._silent.handed_back(self._unread(problem))
        self._next_after(pause_after(self._hand_backs))

    def _take_details(self, error: TaskFailed) -> TaskFailed:
        """Keep the details that a failure carries for the next attempt; the error as the handler sees it."""
        problem = without_details(error.problem) if self.pending.headers.hand_back else error.problem
        if problem is error.problem:
            return error
        self._details = details_of(error.problem)
        return TaskFailed(problem, task_type=error.task_type, task_id=error.task_id, attempt=error.attempt)

    def _observe_end(self, end: AttemptEnd) -> None:
        self.dependencies.observer.attempt_ended(self.ctx, self.type_name, self.task_id, self.attempt, end)

    def _fail(self, error: TaskFailed) -> None:
        self._observe_end(attempt_end_of(error.type))
        unknown = error.type in _UNKNOWN_TO_WORKER
        retry = retry_after(error, self.spec.task_type, self._counted(self.attempt))
        if retry is None:
            if unknown:
                self.cancels.add(CancelReason.TIMED_OUT, self.attempt, is_final=True)
            self.end(not_retried(error) if unknown and self.spec.task_type.retry is None else error)
            return
        self._last_failure = error
        delay = retry.delay - silence_before(error.type, self.spec.task_type)
        if unknown:
            self.cancels.add(CancelReason.SUPERSEDED, self.attempt)
            self._silent.lost(self._unread(error.problem), max(delay, timedelta(0)))
        self._next_after(delay)

    def _next_after(self, delay: timedelta) -> None:
        self.ready = delay <= timedelta(0)
        if not self.ready:
            self._pause = self.ctx.sleep(delay, pause_name(self.type_name, self.spec.identity, self.attempt))

    def _unread(self, problem: Problem) -> frozenset[int]:
        """Where this attempt was, and what else its worker read, is read by nothing until its group notices."""
        own = frozenset[int]() if self.partition is None else frozenset({self.partition})
        return silent_partitions(problem) | own

    def _forget(self) -> None:
        if self.spec.task_type.monitored and self._is_known_to_monitor:
            self.dependencies.monitor.forget(self.ctx, self.task_id)

    def _placement(self) -> Placement | None:
        """Where the current attempt goes: not where the one before was lost or not started."""
        turn = self.spec.identity.turn
        if turn is None or not self.spec.spread:
            return None
        return self._silent.placement(turn + self.attempt - FIRST_ATTEMPT)

    def _open(self, attempt: Attempt, times: AttemptTimes | None) -> PendingAttempt[Result]:
        task_type = self.spec.task_type
        return open_attempt(
            Awakeable[Result].of_attempt(self.ctx, task_type, self.spec.identity, attempt),
            task_type,
            self.spec.identity,
            attempt,
            self.dependencies.signing,
            times,
            hand_back=takes_back(task_type),
            retry_lost=retries_lost(task_type, self._counted(attempt)),
        )

    def _counted(self, attempt: Attempt) -> Attempt:
        """The number of an attempt among those that count."""
        return Attempt(attempt - self._uncounted)
