"""Many tasks of one handler: started in two journaled steps, collected in one wait.

How a collecting handler waits decides how often Restate replays it. While it is connected (until the inactivity
timeout, 1 minute by default) a result replays nothing. Once it is suspended, any future that it waits for resumes it:

- `gather` must hear of each failure (to cancel the rest, or to try again), so it waits for all tasks at once: a
  suspended handler is resumed by each result, then stays connected for the next ones.
- `gather(partial=True)` of tasks that share a deadline and are never retried has nothing to do until all are there, so
  it waits for one task at a time, in a random order. What came meanwhile is there when its turn comes: of n tasks,
  about ln(n) are waited for, in whatever order they end. A thousand resume a suspended handler seven or eight times.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from restate import Context, TerminalError
from restate import gather as all_of

from kallback.protocol import UNEXPECTED_ERROR
from kallback.sdk.errors import BAD_REQUEST, TaskError
from kallback.sdk.journal.publish import BatchPublication, Refused, pauses, publish_many_step
from kallback.sdk.monitoring.client import watch
from kallback.sdk.tasks.publishing import any_of, out_of_time, publish, tell, told_if_cancelled, unsent
from kallback.sdk.tasks.state import Course
from kallback.sdk.tasks.task import Value
from kallback.sdk.tasks.wait_loop import Lookout

Result = TypeVar("Result")
Courses = Sequence[Course[Any]]


async def launch_many(ctx: Context, courses: Courses) -> None:
    """Have Kafka take the first attempts of tasks that share type and deadline; one that it does not take, ends.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    async with told_if_cancelled(courses):
        if courses and courses[0].task.task_type.monitored:
            await all_of(
                *[
                    watch(ctx, course.pending, course.task.identity.first, course.task.identity.deadline_ms)
                    for course in courses
                    if course.task.identity.first is not None
                ]
            )
        await _publish_many(ctx, courses)
        for course in courses:
            if course.ready:
                await publish(course)


async def _publish_many(ctx: Context, courses: Courses) -> None:
    waiting, trouble = list(courses), "no acknowledgement yet"
    for pause in pauses():
        if not waiting:
            return
        batch = await _published(ctx, waiting)
        if batch is None:
            break
        waiting, trouble = _left(waiting, batch)
        if waiting and not await _paused(ctx, waiting, pause):
            break
        if waiting and waiting[0].ready:
            return
    for course in waiting:
        course.end(unsent(course, trouble))


async def _published(ctx: Context, courses: Courses) -> BatchPublication | None:
    """What became of the records; None if the deadline passed before that was known."""
    records = [course.record() for course in courses]
    first, timer = courses[0], courses[0].task.timer
    name = f"publish {len(records)} {first.task.task_type.name}"
    outgoing = publish_many_step(ctx, first.shared.publisher, records, name=name)
    if id(outgoing) not in await any_of([outgoing] if timer is None else [outgoing, timer]):
        return None
    try:
        return await outgoing
    except TerminalError as error:  # a defect, repeated as often as a step is repeated
        return BatchPublication(
            dict.fromkeys(range(len(courses)), Refused(UNEXPECTED_ERROR, error.status_code, error.message))
        )


async def _paused(ctx: Context, courses: Courses, pause: timedelta) -> bool:
    """Wait before the next try; False when the deadline passed. If the attempts' own did, they are due again."""
    paused = ctx.sleep(pause, "wait for Kafka, then publish")
    timer = courses[0].task.timer
    if id(paused) not in await any_of([paused] if timer is None else [paused, timer]):
        return False
    if await out_of_time(courses[0], paused):
        for course in courses:
            course.unsent()
    return True


def _left(courses: Courses, batch: BatchPublication) -> tuple[list[Course[Any]], str]:
    """Those that Kafka may take later, and why it has not; those that it never takes have ended."""
    left, trouble = list[Course[Any]](), ""
    for place, publication in batch.troubles.items():
        if isinstance(publication, Refused):
            courses[place].end(courses[place].not_sent(publication.kind, publication.status, publication.detail))
        else:
            left.append(courses[place])
            trouble = publication.detail
    return left, trouble


async def collect_all(courses: Sequence[Course[Result]]) -> list[Result]:
    """Wait for all values; the first error cancels the rest and is raised.

    Raises:
        TaskError: of the first task that brought none.
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    error = next((course.ended for course in courses if isinstance(course.ended, TaskError)), None)
    async with told_if_cancelled(courses):
        lookout = Lookout(courses)
        while lookout and error is None:
            ended = await lookout.step()
            error = next((course.ended for course in ended if isinstance(course.ended, TaskError)), None)
        await _cancel(lookout.under_way)
    if error is not None:
        raise error
    return [course.ended.value for course in courses if isinstance(course.ended, Value)]


async def collect_each(courses: Sequence[Course[Result]]) -> list[Result | TaskError]:
    """Wait until each has ended; errors stand in their places.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    async with told_if_cancelled(courses):
        if _alike(courses):
            await _one_by_one(courses)
        lookout = Lookout(courses)
        while lookout:
            await lookout.step()
    return [it.value if isinstance(it, Value) else it for it in (course.ended for course in courses) if it is not None]


async def collect_first(courses: Sequence[Course[Result]], n: int) -> list[Result]:
    """Wait for so many values, in the order in which they come; the rest is cancelled.

    Raises:
        TaskError: the last one that made it impossible; the rest is cancelled.
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    if not 1 <= n <= len(courses):
        raise TerminalError(f"first() of {len(courses)} tasks cannot wait for {n} results", BAD_REQUEST)
    async with told_if_cancelled(courses):
        lookout = Lookout(courses)
        ended = [course for course in courses if course.ended is not None]
        values, error = list[Result](), None
        while True:
            values += [course.ended.value for course in ended if isinstance(course.ended, Value)]
            error = next((course.ended for course in ended if isinstance(course.ended, TaskError)), error)
            if len(values) >= n or len(values) + len(lookout) < n:
                break
            ended = await lookout.step()
        await _cancel(lookout.under_way)
    if len(values) < n and error is not None:
        raise error
    return values[:n]


async def _cancel(courses: Courses) -> None:
    for course in courses:
        course.cancel()
    await tell(courses)


def _alike(courses: Courses) -> bool:
    """Whether there is nothing to do until all have ended: no retries, and one deadline."""
    timers = {id(course.task.timer) for course in courses}
    limits = any(course.limit is not None or course.task.task_type.retry is not None for course in courses)
    return len(timers) == 1 and not limits


async def _one_by_one(courses: Courses) -> None:
    """Wait for one at a time, in an order in which it is unlikely that they end; stop at the deadline."""
    order = [course for course in courses if course.ended is None]
    if order:
        order[0].ctx.random().shuffle(order)
    for course in order:
        completed = await any_of(course.waits())
        if id(course.pending.future) not in completed:
            return
        await course.advance(completed)
