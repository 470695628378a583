"""Finds one pending task, with its record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from kallback.cli.activity import activity
from kallback.cli.formatting import plain, within
from kallback.cli.tasks.actions import accept
from kallback.cli.tasks.factories import OperationsFactories
from kallback.operations import (
    AbsentTasks,
    PendingTask,
    PendingTasks,
    RowSource,
    answer_headers,
)
from kallback.protocol import KallbackError, TaskHeaders
from kallback.settings import Settings

_SHOWN: Final = 300
"""Characters of a handler: keys of virtual objects have no limit."""


class NoPendingTaskError(KallbackError):
    """No handler waits for a task with this id."""

    has_entry = True


async def find_task(introspection: RowSource, settings: Settings, task_id: str) -> PendingTask:
    """Return the pending task with this id.

    Raises:
        NoPendingTaskError: there is none.
    """
    with activity("reading journals"):
        pending, absent = PendingTasks(introspection, settings), AbsentTasks(introspection, settings.keys.audience)
        task = await absent.find_pending(pending, task_id)
        untaken = await pending.find_untaken(task_id) if task is None else None
    if untaken is not None:
        invocation = untaken.invocation
        handler = within(plain(invocation.target), _SHOWN)
        raise NoPendingTaskError(
            f"task {plain(task_id)} has its result, and its handler {handler} ({invocation.id}, {invocation.status}) "
            "has not gone on yet: `kallback doctor` says whether its service answers, `kallback outcomes tail --task "
            f"{plain(task_id)}` shows the result"
        )
    if task is None:
        with activity("reading journals"):
            found = await absent.explain(task_id)
        raise NoPendingTaskError(plain(f"{found.sentence}: {found.remedy}"))
    return task


async def find_to_answer(
    factories: OperationsFactories, settings: Settings, task_id: str, check: Callable[[PendingTask], None] = accept
) -> tuple[PendingTask, TaskHeaders]:
    """Return the pending task with this id, and the headers with which it is answered.

    Args:
        factories: make connections.
        settings: of the environment.
        task_id: of the task.
        check: raises for a task to which this cannot be done.

    Raises:
        NoPendingTaskError: there is none.
        NotAnswerableError, NoTaskRecordError, ConfigurationError: as `answer_headers`.
    """
    async with AsyncExitStack() as stack:
        introspection = await stack.enter_async_context(factories.introspection())
        task = await find_task(introspection, settings, task_id)
    check(task)
    with activity("reading the task's record"):
        return task, await answer_headers(factories.find, task, settings)
