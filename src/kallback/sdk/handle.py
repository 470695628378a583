"""A task under way, as handlers hold it: its result, its future, its cancellation.

On cancel (Restate's 409, at any await from the publication on): a `cancel` record is published, bounded in time,
and the 409 is raised again. A second cancellation ends that step, too.

On a failure that the task type's retry policy takes for passing, and on an attempt that took too long or was lost:
after a durable pause the task is dispatched again as the next attempt, with the same task id and deadline. On a stale
completion (an earlier run of the same workflow or idempotency key had the same awakeable ids, and a result of that run
came now) at once. The work can run twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Generic, TypeVar

from restate import RestateDurableFuture

from kallback.protocol import Attempt, TaskId
from kallback.sdk.journal.outcomes import moment
from kallback.sdk.tasks.publishing import tell, told_if_cancelled
from kallback.sdk.tasks.state import Course
from kallback.sdk.tasks.task import Value
from kallback.sdk.tasks.wait_loop import Lookout

Result = TypeVar("Result")


class TaskHandle(Generic[Result]):
    """A task that Kafka has.

    `callbacks.start` makes it:

        handle = await callbacks.start(ctx, prepare, order)
        ...
        prepared = await handle.result()
    """

    def __init__(self, course: Course[Result]) -> None:
        self.course: Final = course

    @property
    def task_id(self) -> TaskId:
        """Stable over attempts and replays, different for every run."""
        return self.course.task_id

    @property
    def attempt(self) -> Attempt:
        """Which dispatch of the task this is, from 1."""
        return self.course.attempt

    @property
    def deadline(self) -> datetime | None:
        """Until when `result` waits, over all attempts; None for ever."""
        return moment(self.course.task.identity.deadline_ms)

    @property
    def future(self) -> RestateDurableFuture[Result]:
        """The typed future of the present attempt, fit for `restate.select`, `gather` and `wait_completed`.

            first, prepared = await restate.select(near=one.future, far=other.future)

        Awaiting it raises `TaskFailed` and its kind itself. It knows no deadline and no retries, tells no worker when
        the invocation is cancelled, and a stale completion is an error: `result()` does these.
        """
        return self.course.pending.future

    async def result(self) -> Result:
        """Wait for the result, over all attempts, until the deadline.

        Raises:
            TaskFailed: the last attempt failed (`error.attempt` says which), or what came is no result
                (`InvalidResult`).
            TaskTimedOut: no result before the deadline; the workers are told.
            TaskNotSent: another attempt was necessary, and Kafka did not take it.
            TaskCancelled: `cancel()` was called before.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        async with told_if_cancelled([self.course]):
            lookout = Lookout([self.course])
            while lookout:
                await lookout.step()
        if isinstance(self.course.ended, Value):
            return self.course.ended.value
        if self.course.ended is None:
            raise AssertionError("a settled course has ended")
        raise self.course.ended

    async def cancel(self) -> None:
        """Tell the workers, best effort and within seconds, that nobody waits any more; `result()` raises from now on.

        Work that is already running may go on, and its result is dropped.
        """
        self.course.cancel()
        await tell([self.course])

    def __repr__(self) -> str:
        return f"TaskHandle({self.course.pending.headers!r})"
