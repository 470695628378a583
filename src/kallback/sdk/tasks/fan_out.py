"""Collects the results of many tasks of one handler in one wait.

How a collecting handler waits decides how often Restate replays it. While it is connected (until the inactivity
timeout, 1 minute by default), a result replays nothing. Once it is suspended, any future that it waits for resumes it:

- `collect_all` must see each failure (to cancel the rest, or to retry), so it waits for all tasks at once: each result
  resumes a suspended handler, which then stays connected for the next ones.
- `collect_each` of tasks that share a deadline and have no retries has nothing to do until all have ended. It waits for
  one task at a time, in random order. Results that came meanwhile are there when their turn comes: of n tasks, about
  ln(n) are waited for, whatever order they end in. A thousand tasks resume a suspended handler seven or eight times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from restate import TerminalError, wait_completed

from kallback.sdk.errors import BAD_REQUEST, TaskCancelled, TaskError
from kallback.sdk.tasks.cancellation import cancels_workers_at_end
from kallback.sdk.tasks.running_task import Future, RunningTask
from kallback.sdk.tasks.task import TaskValue, takes_back
from kallback.sdk.tasks.wait_loop import WaitLoop

Result = TypeVar("Result")
Tasks = Sequence[RunningTask[Any]]


async def collect_all(tasks: Sequence[RunningTask[Result]]) -> list[Result]:
    """Wait for all values; the first error cancels the rest and is raised.

    Raises:
        TaskError: of the first task that ended without a value.
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    error = _first_error(tasks)
    async with cancels_workers_at_end(tasks):
        loop = WaitLoop(tasks)
        while loop and error is None:
            error = _first_error(await loop.step())
        _cancel(loop.running)
    if error is not None:
        raise error
    return [task.ended.value for task in tasks if isinstance(task.ended, TaskValue)]


async def collect_each(tasks: Sequence[RunningTask[Result]]) -> list[Result | TaskError]:
    """Wait until each task has ended; errors are in their places.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    async with cancels_workers_at_end(tasks):
        if _nothing_to_do_before_the_end(tasks):
            await _wait_one_by_one(tasks)
        await WaitLoop(tasks).run()
    outcomes = [task.ended for task in tasks if task.ended is not None]
    return [it.value if isinstance(it, TaskValue) else it for it in outcomes]


async def all_end_before(tasks: Tasks, future: Future, *, or_one_fails: bool = False) -> bool:
    """Wait until all tasks have ended, or the future is completed; return whether all have ended.

    Args:
        tasks: the group.
        future: ends the wait, too.
        or_one_fails: one task that ended without a value counts as the end of all.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    has_failed = or_one_fails and _first_error(tasks) is not None
    async with cancels_workers_at_end(tasks):
        loop = WaitLoop(tasks, future)
        while loop and not loop.is_interrupted and not has_failed:
            ended = await loop.step()
            has_failed = or_one_fails and _first_error(ended) is not None
    return has_failed or not loop


async def collect_first(tasks: Sequence[RunningTask[Result]], n: int) -> list[Result]:
    """Wait for the first n values, in the order in which they come; the rest is cancelled.

    Raises:
        TaskError: of the task whose failure made n values impossible; the rest is cancelled.
        TerminalError: the invocation was cancelled (409); the workers are told. Or n is not possible (400).
    """
    if not 1 <= n <= len(tasks):
        raise TerminalError(f"first() of {len(tasks)} tasks cannot wait for {n} results", BAD_REQUEST)
    if len(set(tasks)) < len(tasks):
        raise TerminalError("first() got the same handle twice: pass each handle once", BAD_REQUEST)
    async with cancels_workers_at_end(tasks):
        loop = WaitLoop(tasks)
        ended = [task for task in tasks if task.ended is not None]
        values, error = list[Result](), None
        while True:
            values += [task.ended.value for task in ended if isinstance(task.ended, TaskValue)]
            error = _first_error(ended) or error
            if len(values) >= n or len(values) + len(loop) < n:
                break
            ended = await loop.step()
        _cancel(loop.running)
    if len(values) < n and error is not None:
        raise error
    return values[:n]


def _first_error(tasks: Tasks) -> TaskError | None:
    """The first one; a task that was cancelled because another one failed is not the cause."""
    errors = [task.ended for task in tasks if isinstance(task.ended, TaskError)]
    return next((error for error in errors if not isinstance(error, TaskCancelled)), errors[0] if errors else None)


def _cancel(tasks: Tasks) -> None:
    for task in tasks:
        task.cancel()


def _nothing_to_do_before_the_end(tasks: Tasks) -> bool:
    """Whether the tasks have no next attempts, no attempt timeouts, and one deadline."""
    timers = {task.spec.timer for task in tasks}
    return len(timers) == 1 and not any(map(_acts_before_its_end, tasks))


def _acts_before_its_end(task: RunningTask[Any]) -> bool:
    is_unsent = task.ready or task.publication is not None
    return is_unsent or task.limit is not None or takes_back(task.spec.task_type)


async def _wait_one_by_one(tasks: Tasks) -> None:
    """Wait for one task at a time, in random order; stop at the deadline, or when a task has more to do."""
    order = [task for task in dict.fromkeys(tasks) if task.ended is None]
    if order:
        order[0].ctx.random().shuffle(order)
    for task in order:
        completed, _ = await wait_completed(*task.futures())
        if task.pending.future not in completed:
            return
        await task.advance(set(completed))
        if task.ended is None:  # its result was stale
            return
