"""Starts tasks: their first attempts are watched and published, in one step for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kallback.sdk.tasks.cancellation import cancels_workers_at_end
from kallback.sdk.tasks.publishing import PendingPublication
from kallback.sdk.tasks.running_task import RunningTask
from kallback.sdk.tasks.wait_loop import WaitLoop


async def start_tasks(tasks: Sequence[RunningTask[Any]], *, result_follows: bool = False) -> None:
    """Wait until each task was published, or has ended with `TaskNotSent`. They share a task type and a deadline.

    Tasks that were published run meanwhile: a failed one is retried, although another one waits for Kafka.

    Args:
        tasks: to start.
        result_follows: whether the handler waits for nothing but their results.

    Raises:
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    async with cancels_workers_at_end(tasks):
        await PendingPublication(tasks, result_follows=result_follows).begin()
        loop, unpublished = WaitLoop(tasks), tasks
        while unpublished := [task for task in unpublished if task.publication is not None]:
            await loop.step()
