"""Finds one pending task, with its record."""

from __future__ import annotations

from contextlib import AsyncExitStack

from kallback.cli.activity import activity
from kallback.cli.formatting import plain
from kallback.cli.tasks.factories import OperationsFactories
from kallback.operations import (
    PendingTask,
    PendingTasks,
    RowSource,
    TaskRecord,
    check_current,
    read_task_record,
)
from kallback.protocol import KallbackError
from kallback.settings import Settings


class NoPendingTaskError(KallbackError):
    """No handler waits for a task with this id."""


async def find_task(introspection: RowSource, settings: Settings, task_id: str) -> PendingTask:
    """Return the pending task with this id.

    Raises:
        NoPendingTaskError: there is none.
    """
    with activity("reading journals"):
        task = await PendingTasks(introspection, settings).find(task_id)
    if task is None:
        raise NoPendingTaskError(
            f"no handler of this environment waits for task {plain(task_id)}: it has ended, Kafka does not have its "
            "(next) attempt yet, the id is wrong, or KALLBACK_TOPICS_PREFIX (or KALLBACK_AUDIENCE) is another one; "
            "`kallback outcomes tail --task ID` shows its results, `kallback doctor` why attempts are not sent"
        )
    return task


async def find_with_record(
    factories: OperationsFactories, settings: Settings, task_id: str
) -> tuple[PendingTask, TaskRecord]:
    """Return the pending task with this id, and its record, to answer it.

    Raises:
        NoPendingTaskError: there is none.
        NotAnswerableError: it is between two attempts.
        NoTaskRecordError: Kafka does not have its record any more.
    """
    async with AsyncExitStack() as stack:
        introspection = await stack.enter_async_context(factories.introspection())
        task = await find_task(introspection, settings, task_id)
    check_current(task, settings)
    with activity("reading the task's record"):
        return task, await read_task_record(factories.find, task)
