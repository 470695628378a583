"""A task under way: its publication, the wait for its result, and the word to the workers when nobody waits.

Everything runs inside one invocation, so one coroutine at a time; nothing is left running when a method returns.

On cancel (Restate's 409, at any await from the publication on): a `cancel` record is published, bounded in time,
and the 409 is raised again. A second cancellation ends that step, too.

On a stale completion (an earlier run of the same workflow or idempotency key had the same awakeable ids, and a
result of that run came now): the awakeable is used up, so the task is dispatched again as the next attempt, with
the same task id and deadline. The work can run twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from restate import Context, RestateDurableFuture, TerminalError, wait_completed

from kallback.kafka import OutgoingRecord
from kallback.protocol import UNEXPECTED_ERROR, Attempt, Cancel, CancelReason, Problem, TaskId, TaskType
from kallback.sdk.awakeables import Pending, Settled, Signing, moment, open_attempt
from kallback.sdk.errors import (
    CANCELLED,
    GONE,
    KAFKA_UNAVAILABLE,
    UNAVAILABLE,
    StaleResult,
    TaskCancelled,
    TaskNotSent,
    TaskTimedOut,
)
from kallback.sdk.mint import Clock, Minted
from kallback.sdk.publish import Publication, Publisher, Refused, Sent, cancel_step, pauses, publish_step

Result = TypeVar("Result")
FIRST_ATTEMPT: Final = Attempt(1)


@dataclass(frozen=True, slots=True)
class Shared:
    """What every task of one `Callbacks` shares."""

    publisher: Publisher
    signing: Signing
    control_topic: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """What all attempts of one task share.

    Attributes:
        request: encoded, so that copies are byte-identical.
        key: of the record, which decides its partition.
    """

    task_type: TaskType[Any, Result]
    request: bytes
    key: bytes
    minted: Minted
    timer: RestateDurableFuture[None] | None


class TaskHandle(Generic[Result]):
    """A task that Kafka has.

    `callbacks.start` makes it:

        handle = await callbacks.start(ctx, prepare, order)
        ...
        prepared = await handle.result()
    """

    def __init__(self, ctx: Context, shared: Shared, task: Task[Result]) -> None:
        self._ctx: Final = ctx
        self._shared: Final = shared
        self._task: Final = task
        self._pending = self._open(FIRST_ATTEMPT)
        self._ended: TaskTimedOut | TaskCancelled | None = None

    @property
    def task_id(self) -> TaskId:
        """Stable over attempts and replays, different for every run."""
        return self._task.minted.task_id

    @property
    def attempt(self) -> Attempt:
        """Which dispatch of the task this is, from 1."""
        return self._pending.headers.attempt

    @property
    def deadline(self) -> datetime | None:
        """Until when `result` waits; None for ever."""
        return moment(self._task.minted.deadline_ms)

    @property
    def future(self) -> RestateDurableFuture[Result]:
        """The typed future of this attempt, fit for `restate.select`, `gather` and `wait_completed`.

            first, prepared = await restate.select(near=one.future, far=other.future)

        Awaiting it raises `TaskFailed` and its kind itself. It knows no deadline, tells no worker when the
        invocation is cancelled, and a stale completion is an error: `result()` does these.
        """
        return self._pending.future

    async def result(self) -> Result:
        """Wait for the result, until the deadline.

        Raises:
            TaskFailed: the worker reported a failure, or what came is no result (`InvalidResult`).
            TaskTimedOut: no result before the deadline; the workers are told.
            TaskNotSent: a stale completion made another attempt necessary, and Kafka did not take it.
            TaskCancelled: `cancel()` was called before.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        while True:
            if self._ended is not None:
                raise self._ended
            if await self._settled() is Settled.TIMED_OUT:
                self._ended = self._pending.timed_out()
                await self._tell(CancelReason.TIMED_OUT)
                continue
            try:
                return await self._pending.value()
            except StaleResult:
                await self._dispatch_again()

    async def cancel(self) -> None:
        """Tell the workers, best effort and within seconds, that nobody waits any more; `result()` raises from now on.

        Work that is already running may go on, and its result is dropped.
        """
        detail = f"task {self.task_id} of {self._task.task_type.name} was cancelled by its own handler"
        problem = Problem(CANCELLED, GONE, detail)
        self._ended = TaskCancelled(problem, task_type=self._task.task_type.name, task_id=self.task_id)
        await self._tell(CancelReason.CANCELLED)

    async def publish(self) -> None:
        """Have Kafka take the present attempt; `callbacks.start` did it already.

        Raises:
            TaskNotSent: Kafka refused it, or did not answer before the deadline.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        trouble = "no acknowledgement yet"
        for pause in pauses():
            step = publish_step(self._ctx, self._shared.publisher, self._record(), name=self._name("publish"))
            if not await self._in_time(step):
                break
            publication = await self._outcome(step)
            if isinstance(publication, Sent):
                return
            if isinstance(publication, Refused):
                raise self._not_sent(publication.kind, publication.status, publication.detail)
            trouble = publication.detail
            if not await self._in_time(self._ctx.sleep(pause, self._name("wait for Kafka, then publish"))):
                break
        detail = f"Kafka did not acknowledge the task before its deadline: start it or check its address ({trouble})"
        raise self._not_sent(KAFKA_UNAVAILABLE, UNAVAILABLE, detail)

    async def _outcome(self, step: RestateDurableFuture[Publication]) -> Publication:
        try:
            return await step
        except TerminalError as error:  # a defect, repeated as often as a step is repeated
            raise self._not_sent(UNEXPECTED_ERROR, error.status_code, error.message) from None

    async def _dispatch_again(self) -> None:
        """The awakeable is used up: withdraw this attempt, then publish the next one with a new awakeable."""
        used_up = self.attempt
        await self._tell(CancelReason.SUPERSEDED, used_up)
        self._pending = self._open(Attempt(used_up + 1))
        await self.publish()

    def _open(self, attempt: Attempt) -> Pending[Result]:
        task = self._task
        return open_attempt(self._ctx, task.task_type, task.minted, attempt, self._shared.signing)

    def _record(self) -> OutgoingRecord:
        task = self._task
        headers = self._pending.headers.encode()
        return OutgoingRecord(task.task_type.topic, task.request, task.key, headers)

    async def _settled(self) -> Settled:
        try:
            return await self._pending.settled(self._task.timer)
        except TerminalError:
            await self._tell(CancelReason.CANCELLED)
            raise

    async def _in_time(self, future: RestateDurableFuture[Any]) -> bool:
        """Whether a future is completed before the deadline."""
        timer = self._task.timer
        waited: list[RestateDurableFuture[Any]] = [future] if timer is None else [future, timer]
        try:
            completed, _ = await wait_completed(*waited)
        except TerminalError:
            await self._tell(CancelReason.CANCELLED)
            raise
        return any(it is future for it in completed)

    async def _tell(self, reason: CancelReason, attempt: Attempt | None = None) -> None:
        """Publish a cancel, best effort; only the invocation's cancellation ends it early, and raises."""

        def record() -> OutgoingRecord:
            cancel = Cancel(self.task_id, reason, int(self._shared.clock() * 1000), attempt)
            return OutgoingRecord(self._shared.control_topic, cancel.encode(), self.task_id.encode())

        step = cancel_step(self._ctx, self._shared.publisher, record, name=self._name(f"cancel ({reason})"))
        await wait_completed(step)

    def _name(self, action: str) -> str:
        """What Restate's journal shows."""
        again = "" if self.attempt == FIRST_ATTEMPT else f" attempt {self.attempt}"
        return f"{action} {self._task.task_type.name}{again}"

    def _not_sent(self, kind: str, status: int, detail: str) -> TaskNotSent:
        problem = Problem(kind, status, detail)
        return TaskNotSent(problem, task_type=self._task.task_type.name, task_id=self.task_id)

    def __repr__(self) -> str:
        return f"TaskHandle({self._pending.headers!r})"
