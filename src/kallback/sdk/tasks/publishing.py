"""Publishes attempts: one loop for one task and for many tasks that start together.

A publishing step never raises because of Kafka, and its result is journaled. While Kafka is unavailable, the loop waits
on durable timers between the steps, until Kafka has each record or the deadline passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from restate import RestateDurableFuture, TerminalError, wait_completed
from restate import gather as wait_for_all

from kallback.protocol import UNEXPECTED_ERROR
from kallback.sdk.errors import GATEWAY_TIMEOUT, KAFKA_UNAVAILABLE, NOT_WATCHED, UNAVAILABLE
from kallback.sdk.journal.publish import PublishOutcome, Refused, publish_step, retry_delays
from kallback.sdk.monitoring.client import watch
from kallback.sdk.tasks.cancellation import cancels_workers_with_invocation
from kallback.sdk.tasks.running_task import Future, RunningTask

Tasks = Sequence[RunningTask[Any]]

_NO_ACKNOWLEDGEMENT: Final = "no acknowledgement yet"
_NOT_WATCHED: Final = (
    "TaskMonitor did not answer before the deadline: bind callbacks.services in a Restate service and register it, or "
    "declare the task type without start_timeout and heartbeat_every"
)


async def start_tasks(tasks: Tasks) -> None:
    """Have the first attempts of tasks watched and published. They share a task type and a deadline.

    A task that is not published ends with `TaskNotSent`.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    async with cancels_workers_with_invocation(tasks):
        if await _watch_first_attempts(tasks):
            await publish(tasks)
        else:
            for task in tasks:
                task.end_unpublished(NOT_WATCHED, GATEWAY_TIMEOUT, _NOT_WATCHED)


async def publish(tasks: Tasks) -> None:
    """Publish the current attempts of tasks that share a deadline; the next attempt of a task that is ready for one.

    A task that is not published ends with `TaskNotSent`.

    Raises:
        TerminalError: the invocation was cancelled (409).
    """
    unpublished, detail = list(tasks), _NO_ACKNOWLEDGEMENT
    for delay in retry_delays():
        if len(unpublished) > 1 and unpublished[0].ready:  # their next attempts differ in their times
            for task in unpublished:
                await publish([task])
            return
        if unpublished and unpublished[0].ready:
            await unpublished[0].renew()
        outcome = await _publish_once(unpublished) if unpublished else PublishOutcome()
        if outcome is None:
            break
        unpublished, detail = _end_refused(unpublished, outcome)
        if not unpublished:
            return
        if not await _wait_for_kafka(unpublished, delay):
            break
    for task in unpublished:
        task.end_unpublished(KAFKA_UNAVAILABLE, UNAVAILABLE, _unacknowledged(detail))


async def _watch_first_attempts(tasks: Tasks) -> bool:
    """Have `TaskMonitor` watch the first attempts, if their type needs it; whether it answered before the deadline."""
    if not tasks or not tasks[0].spec.task_type.monitored:
        return True
    watches = [
        watch(task.ctx, task.pending, task.spec.identity.first, task.spec.identity.deadline_ms)
        for task in tasks
        if task.spec.identity.first is not None
    ]
    if len(watches) == 1:
        return await completed_in_time(tasks[0], watches[0])
    await wait_for_all(*watches)
    return True


async def _publish_once(tasks: Tasks) -> PublishOutcome | None:
    """One try; None if the deadline passed before its outcome was known."""
    first = tasks[0]
    name = first.name("publish") if len(tasks) == 1 else f"publish {len(tasks)} {first.spec.task_type.name}"
    records = [task.record() for task in tasks]
    publishing = publish_step(first.ctx, first.dependencies.publisher, records, name=name)
    if not await completed_in_time(first, publishing):
        return None
    try:
        return await publishing
    except TerminalError as error:  # a defect; Restate has repeated the step as often as it may
        refused = Refused(UNEXPECTED_ERROR, error.status_code, error.message)
        return PublishOutcome(failures=dict.fromkeys(range(len(tasks)), refused))


def _end_refused(tasks: Tasks, outcome: PublishOutcome) -> tuple[list[RunningTask[Any]], str]:
    """The tasks that Kafka may take later, and why it has not; the tasks that it never takes end."""
    unpublished, detail = list[RunningTask[Any]](), _NO_ACKNOWLEDGEMENT
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
    if not await completed_in_time(first, paused):
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


async def completed_in_time(task: RunningTask[Any], future: RestateDurableFuture[Any]) -> bool:
    """Wait for a future until the task's deadline; whether the future is completed.

    Raises:
        TerminalError: the invocation was cancelled (409). Nothing else raises here: failures stay in the future, so
            that a 409 of a worker is never mistaken for a cancellation, nor the reverse.
    """
    timer = task.spec.timer
    completed, _ = await wait_completed(*([future] if timer is None else [future, timer]))
    return future in completed


def _unacknowledged(detail: str) -> str:
    return f"Kafka did not acknowledge the task before its deadline: start Kafka or check its address ({detail})"
