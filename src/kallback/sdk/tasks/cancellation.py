"""Tells the workers that a handler does not wait for a task any more: cancels on the control topic, best effort.

All cancels that follow from one wait are published in one journaled step, bounded in time. When the invocation is
cancelled (Restate's 409, at any await), the workers of all running tasks are told and the 409 is raised again. A second
cancellation ends that step, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from restate import TerminalError, wait_completed

from kallback.kafka import OutgoingRecord
from kallback.protocol import Cancel
from kallback.sdk.errors import TaskError
from kallback.sdk.journal.publish import cancel_step
from kallback.sdk.tasks.running_task import RunningTask


async def cancel_workers(tasks: Sequence[RunningTask[Any]]) -> None:
    """Publish the queued cancels of the tasks in one step; no step without a cancel.

    Raises:
        TerminalError: the invocation was cancelled (409). Nothing else raises.
    """
    queued = [(task, cancel) for task in tasks for cancel in task.cancels.take()]
    if not queued:
        return
    first, cancels, dependencies = queued[0][0], [cancel for _, cancel in queued], tasks[0].dependencies

    def records() -> list[OutgoingRecord]:
        at_ms = int(dependencies.clock() * 1000)
        return [_control_record(dependencies.control_topic, replace(cancel, at_ms=at_ms)) for cancel in cancels]

    reasons = ", ".join(dict.fromkeys(cancel.reason.value for cancel in cancels))
    name = first.name(f"cancel ({reasons})") if len(cancels) == 1 else f"cancel {len(cancels)} ({reasons})"
    await wait_completed(cancel_step(first.ctx, dependencies.publisher, records, name=name))


async def cancel_task(task: RunningTask[Any]) -> None:
    """Cancel a task for its handler. A result that comes before the cancel is published counts.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    await task.keep_result()
    if task.ended is not None:
        return
    task.cancel()
    await cancel_workers([task])
    await task.keep_result()


@asynccontextmanager
async def cancels_workers_with_invocation(tasks: Sequence[RunningTask[Any]]) -> AsyncGenerator[None]:
    """Cancel the workers of all running tasks if the invocation is cancelled in the body."""
    try:
        yield
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
