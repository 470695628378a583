"""Publishes attempts: one loop for one task and for many tasks that start together.

A publishing step never raises because of Kafka, and its result is journaled. While Kafka is unavailable, the loop waits
on durable timers between the steps, until Kafka has each record or the deadline passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from restate import TerminalError, wait_completed

from kallback.protocol import UNEXPECTED_ERROR
from kallback.sdk.errors import KAFKA_UNAVAILABLE, UNAVAILABLE
from kallback.sdk.journal.publish import PublishOutcome, Refused, publish_step, retry_delays
from kallback.sdk.tasks.cancellation import cancels_workers_with_invocation
from kallback.sdk.tasks.running_task import Future, RunningTask
from kallback.sdk.tasks.task import FIRST_ATTEMPT

Tasks = Sequence[RunningTask[Any]]


async def start_tasks(tasks: Tasks) -> None:
    """Have the first attempts of tasks watched and published. They share a task type and a deadline.

    A task that is not published ends with `TaskNotSent`.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    async with cancels_workers_with_invocation(tasks):
        await _watch_first_attempts(tasks)
        await publish([task for task in tasks if task.ended is None])


async def publish(tasks: Tasks) -> None:
    """Publish the current attempts of tasks that share a deadline; the next attempt of a task that is ready for one.

    A task that is not published ends with `TaskNotSent`.

    Raises:
        TerminalError: the invocation was cancelled (409).
    """
    unpublished, detail = list(tasks), None
    for delay in retry_delays():
        if len(unpublished) > 1 and unpublished[0].ready:  # their next attempts differ in their times
            for task in unpublished:
                await publish([task])
            return
        unpublished = await _renewed(unpublished)
        outcome = await _publish_once(unpublished) if unpublished else PublishOutcome()
        if outcome is None:
            break
        unpublished, detail = _end_refused(unpublished, outcome)
        if not unpublished:
            return
        if not await _wait_for_kafka(unpublished, delay):
            break
    for task in unpublished:
        if detail is None and task.attempt != FIRST_ATTEMPT:  # there was no time to ask Kafka
            task.time_out()
        else:
            task.end_unpublished_at_deadline(KAFKA_UNAVAILABLE, UNAVAILABLE, _unacknowledged(detail))


async def _watch_first_attempts(tasks: Tasks) -> None:
    """Have `TaskMonitor` watch the first attempts if their type needs it; tasks without an answer end at the deadline.

    The last call is awaited first: when it is answered, the others most likely are, so that a handler that is suspended
    meanwhile is resumed once and not for each of them.
    """
    watches = [
        (task, task.watch(task.spec.identity.first))
        for task in tasks
        if task.spec.identity.first is not None and task.spec.task_type.monitored
    ]
    for task, answer in reversed(watches):
        await task.watched(answer)


async def _renewed(tasks: Tasks) -> list[RunningTask[Any]]:
    """The tasks with their next attempts opened where one is due; those that ended in it are left out."""
    for task in tasks:
        if task.ready:
            await task.renew()
    return [task for task in tasks if task.ended is None]


async def _publish_once(tasks: Tasks) -> PublishOutcome | None:
    """One try; None if the deadline passed before its outcome was known."""
    first = tasks[0]
    name = first.name("publish") if len(tasks) == 1 else f"publish {len(tasks)} {first.spec.task_type.name}"
    records = [task.record() for task in tasks]
    publishing = publish_step(first.ctx, first.dependencies.publisher, records, name=name)
    if not await first.completed_in_time(publishing):
        return None
    try:
        return await publishing
    except TerminalError as error:  # a defect; Restate has repeated the step as often as it may
        refused = Refused(UNEXPECTED_ERROR, error.status_code, error.message)
        return PublishOutcome(failures=dict.fromkeys(range(len(tasks)), refused))


def _end_refused(tasks: Tasks, outcome: PublishOutcome) -> tuple[list[RunningTask[Any]], str | None]:
    """The tasks that Kafka may take later, and why it has not; the tasks that it never takes end."""
    unpublished, detail = list[RunningTask[Any]](), None
    for index, failure in outcome.failures.items():
        if isinstance(failure, Refused):
            tasks[index].end_unpublished(failure.kind, failure.status, failure.detail)
        else:
            unpublished.append(tasks[index])
            detail = failure.detail
    return unpublished, detail


async def _wait_for_kafka(tasks: Tasks, delay: timedelta) -> bool:
    """Wait before the next try; False if the deadline passed. Attempts whose own times have passed are given up."""
    first = tasks[0]
    paused = first.ctx.sleep(delay, first.name("wait for Kafka, then publish"))
    if not await first.completed_in_time(paused):
        return False
    if await _times_have_passed(first, paused):
        for task in tasks:
            task.give_up_unpublished()
    return True


async def _times_have_passed(task: RunningTask[Any], completed: Future) -> bool:
    """Whether an unpublished attempt needs new times.

    With a start timeout always, because nothing tells whether the time to start has passed.
    """
    if task.spec.task_type.start_timeout is not None:
        return True
    return task.limit is not None and task.limit in (await wait_completed(completed, task.limit))[0]


def _unacknowledged(detail: str | None) -> str:
    answer = detail or "no acknowledgement yet"
    return f"Kafka did not acknowledge the task before its deadline: start Kafka or check its address ({answer})"
