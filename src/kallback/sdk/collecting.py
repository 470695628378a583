"""What `Callbacks` does with tasks that are under way: collect many, take the first, ask how one stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar, overload

from restate import Context

from kallback.sdk.errors import TaskError
from kallback.sdk.handle import TaskHandle
from kallback.sdk.monitoring.client import Progress, read_progress
from kallback.sdk.tasks.fanout import collect_all, collect_each, collect_first

Result = TypeVar("Result")


class Collecting:
    """The part of `Callbacks` that needs no settings."""

    @overload
    async def gather(self, handles: Sequence[TaskHandle[Result]], *, partial: Literal[False] = ...) -> list[Result]: ...
    @overload
    async def gather(
        self, handles: Sequence[TaskHandle[Result]], *, partial: Literal[True]
    ) -> list[Result | TaskError]: ...
    async def gather(
        self, handles: Sequence[TaskHandle[Result]], *, partial: bool = False
    ) -> list[Result] | list[Result | TaskError]:
        """Wait for the results of many tasks, retries included; they stand in the order of the handles.

            results = await callbacks.gather(handles, partial=True)
            good = [it for it in results if not isinstance(it, TaskError)]

        With `partial`, wait for each to end, at its deadline at last, and put errors in their places. Otherwise the
        first error cancels the rest and is raised.

        Raises:
            TaskError: without `partial`.
            TerminalError: the invocation was cancelled (409); the workers are told.
        """
        courses = [handle.course for handle in handles]
        return await (collect_each(courses) if partial else collect_all(courses))

    async def first(self, handles: Sequence[TaskHandle[Result]], n: int = 1) -> list[Result]:
        """Wait for the first n results, in the order in which they come; the rest is cancelled.

            (quote,) = await callbacks.first(quotes)

        Raises:
            TaskError: so many failed that there cannot be n results; the last failure, and the rest is cancelled.
            TerminalError: the invocation was cancelled (409); the workers are told. Or n is not possible (400).
        """
        return await collect_first([handle.course for handle in handles], n)

    async def progress(self, ctx: Context, task_id: str) -> Progress:
        """How a task stands, while its handler waits: for task types with `heartbeat_every` or `start_timeout`.

            progress = await callbacks.progress(ctx, task_id)
            return progress.details_as(Percent).percent

        Raises:
            UnknownTask: it has ended, or nobody watches over it (404).
        """
        return await read_progress(ctx, task_id)
