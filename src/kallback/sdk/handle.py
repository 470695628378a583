"""A running task as handlers hold it: its result, its future, its cancellation.

On cancellation of the invocation (Restate's 409, at any await after the publication): a `cancel` record is published,
bounded in time, and the 409 is raised again. A second cancellation ends that step, too.

When an attempt fails and the task type's retry policy allows another one, or when an attempt takes too long or is lost:
after a durable delay the next attempt is published, with the same task id and deadline. After a stale completion (an
earlier run of the same workflow or idempotency key had the same awakeable ids, and its result came now) there is no
delay. The work can run twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from restate import RestateDurableFuture

from kallback.protocol import Attempt, TaskId
from kallback.sdk.arguments import check_all, check_future
from kallback.sdk.one_task import check_called_by_handler, turn
from kallback.sdk.signatures import checked_methods
from kallback.sdk.tasks.cancellation import cancel_task, cancels_workers_at_end
from kallback.sdk.tasks.fan_out import all_end_before
from kallback.sdk.tasks.running_task import RunningTask
from kallback.sdk.tasks.task import TaskValue
from kallback.sdk.tasks.wait_loop import WaitLoop

Result = TypeVar("Result")


@checked_methods()
class TaskHandle(Generic[Result]):
    """A published task.

    `callbacks.start` returns it:

        handle = await callbacks.start(ctx, prepare, order)
        ...
        prepared = await handle.result()
    """

    def __init__(self, task: RunningTask[Result]) -> None:
        self._task: Final = task

    @property
    def task_id(self) -> TaskId:
        """Stable over attempts and replays, different for every run."""
        return self._task.task_id

    @property
    def attempt(self) -> Attempt:
        """Number of the current attempt, from 1."""
        return self._task.attempt

    @property
    def deadline(self) -> datetime | None:
        """The end of the wait in `result`, over all attempts; None without a deadline."""
        return self._task.spec.identity.deadline

    @property
    def future(self) -> RestateDurableFuture[Result]:
        """The typed future of the current attempt, for `restate.select`, `gather` and `wait_completed`.

            first, prepared = await restate.select(near=one.future, far=other.future)

        Awaiting it raises `TaskFailed` and its subclasses directly. It has no deadline and no retries, tells no worker
        when the invocation is cancelled, and a stale completion is an error: use `result()` for these, and
        `ends_before()` to wait for something else as well.
        """
        return self._task.pending.future

    async def result(self) -> Result:
        """Wait for the result, over all attempts, until the deadline.

        Raises:
            TaskFailed: the last attempt failed (`error.attempt` says which), or its result does not fit the type
                (`InvalidResult`).
            TaskTimedOut: no result before the deadline; the workers are told.
            TaskNotSent: another attempt was necessary, and it was not published.
            TaskCancelled: `cancel()` was called before.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        async with turn(self._task.ctx, "handle.result"), cancels_workers_at_end([self._task]):
            await WaitLoop([self._task]).run()
        if isinstance(self._task.ended, TaskValue):
            return self._task.ended.value
        if self._task.ended is None:
            raise AssertionError("the loop runs until the task has ended")
        raise self._task.ended

    async def ends_before(self, future: RestateDurableFuture[Any]) -> bool:
        """Wait until the task has ended, over all attempts, or another durable future is completed.

            if not await handle.ends_before(ctx.promise("stop").value()):
                await handle.cancel()
                return "stopped"
            return await handle.result()

        Args:
            future: anything durable: the value of a promise, an awakeable, a timer (`ctx.sleep`), a call. It is not
                awaited, so its error is not raised here.

        Returns:
            Whether the task has ended, even if the future is completed as well: then `result()` has its value or its
            error. If it has not, it runs on: wait again, or cancel it.

        Raises:
            TerminalError: the invocation was cancelled (409); the workers are told. Or it is no durable future (400).
        """
        check_future("future", future)
        async with turn(self._task.ctx, "handle.ends_before"):
            return await all_end_before([self._task], future)

    async def cancel(self) -> None:
        """Tell the workers, best effort and within seconds, to stop; `result()` raises `TaskCancelled` from now on.

        Work that is already running may go on, and its result is dropped. A result that is there already is kept:
        then `result()` returns it.
        """
        async with turn(self._task.ctx, "handle.cancel"):
            await cancel_task(self._task)

    def __repr__(self) -> str:
        return f"TaskHandle({self._task.pending.headers!r})"


def running_tasks(called: str, handles: Sequence[TaskHandle[Result]]) -> list[RunningTask[Result]]:
    """The running tasks of handles, for the method of `Callbacks` that a handler called.

    Raises:
        TerminalError: they are no handles, or the handler does not await the call itself (400).
    """
    check_all("handles", handles, TaskHandle)
    tasks = [handle._task for handle in handles]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    for task in tasks[:1]:
        check_called_by_handler(task.ctx, f"callbacks.{called}")
    return tasks
