"""Tells the workers that a handler does not wait for a task any more: cancels on the control topic, best effort.

All cancels that follow from one wait are published in one journaled step, bounded in time. Tasks that still run do not
wait for it. Who waits for tasks waits for these steps last, because Restate executes only steps that are waited for.

When the invocation is cancelled (Restate's 409, at any await), the workers of all running tasks are told and the 409 is
raised again. A second cancellation ends that step, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from restate import TerminalError, gather

from kallback.kafka import OutgoingRecord
from kallback.protocol import Cancel
from kallback.sdk.errors import TaskError
from kallback.sdk.journal.publish import cancel_step
from kallback.sdk.tasks.running_task import Future, RunningTask
from kallback.sdk.tasks.task import task_label

Tasks = Sequence[RunningTask[Any]]


def send_cancels(tasks: Tasks) -> Future | None:
    """Issue one step that publishes the queued cancels of the tasks; None without a cancel."""
    queued = [(task, cancel) for task in tasks for cancel in task.cancels.take()]
    if not queued:
        return None
    first, dependencies = queued[0][0], tasks[0].dependencies
    cancels = [task.with_secret(cancel) for task, cancel in queued]

    def records() -> list[OutgoingRecord]:
        at_ms = int(dependencies.clock() * 1000)
        return [_control_record(dependencies.control_topic, replace(cancel, at_ms=at_ms)) for cancel in cancels]

    reasons = ", ".join(dict.fromkeys(cancel.reason.value for cancel in cancels))
    label = task_label(first.type_name, first.task_id, first.attempt)
    name = f"cancel ({reasons}) {label}" if len(cancels) == 1 else f"cancel {len(cancels)} ({reasons})"
    given_up = [cancel.task_id for cancel in cancels if cancel.attempt is None] if len(cancels) > 1 else []
    step = cancel_step(first.ctx, dependencies.publisher, records, name=name, given_up=given_up)
    for task in dict.fromkeys(task for task, _ in queued):
        task.cancels.steps.append(step)
    return step


async def cancel_workers(tasks: Tasks) -> None:
    """Publish the queued cancels of the tasks, and wait for all steps that publish cancels of them.

    Raises:
        TerminalError: the invocation was cancelled (409). Nothing else raises.
    """
    send_cancels(tasks)
    await gather(*dict.fromkeys(step for task in tasks for step in task.cancels.steps))
    for task in tasks:
        task.cancels.steps.clear()


async def cancel_task(task: RunningTask[Any]) -> None:
    """Cancel a task for its handler. A result that comes before the cancel is published counts.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    await task.keep_result()
    if task.ended is not None:
        return
    async with cancels_workers_at_end([task]):
        task.cancel()
    await task.keep_result()


@asynccontextmanager
async def cancels_workers_at_end(tasks: Tasks) -> AsyncGenerator[None]:
    """Wait for tasks in the body; at its end, their workers have been told what they must know.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers of all running tasks are told.
    """
    try:
        yield
        await cancel_workers(tasks)
    except TaskError:
        raise
    except TerminalError:
        for task in tasks:
            if task.ended is None:
                task.abandon()
        await cancel_workers(tasks)
        raise


def _control_record(topic: str, cancel: Cancel) -> OutgoingRecord:
    return OutgoingRecord(topic, cancel.encode(), cancel.task_id.encode())
