"""Waits for one task or for many: which task waits for which future, kept up to date from one wait to the next.

A thousand tasks may wait for a thousand futures each. So the set of futures is built once, and after a wait only the
tasks that the completed futures concern are asked again.

Everything is ordered (dictionaries keep the order of insertion, and their content follows from the journal), so that a
replay takes the same steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from restate import wait_completed

from kallback.sdk.tasks.cancellation import cancel_workers
from kallback.sdk.tasks.publishing import publish
from kallback.sdk.tasks.running_task import Future, RunningTask

Result = TypeVar("Result")


class WaitLoop(Generic[Result]):
    """Runs tasks until they end; tasks that have ended already are left out."""

    def __init__(self, tasks: Iterable[RunningTask[Result]]) -> None:
        self._running: Final = dict[RunningTask[Result], list[Future]]()
        self._ready: Final = list[RunningTask[Result]]()
        self._waiting: Final = dict[Future, dict[RunningTask[Result], None]]()
        for task in tasks:
            if task.ended is None and task not in self._running:
                self._add(task)

    @property
    def running(self) -> list[RunningTask[Result]]:
        """The tasks that have not ended."""
        return list(self._running)

    def __len__(self) -> int:
        """The number of tasks that have not ended."""
        return len(self._running)

    async def run(self) -> None:
        """Run until all tasks have ended.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        while self:
            await self.step()

    async def step(self) -> list[RunningTask[Result]]:
        """Wait for the next event and act on it; returns the tasks that ended with it.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        if self._ready:
            tasks = list(self._ready)
            self._ready.clear()
            for task in tasks:
                await publish([task])
        else:
            completed, _ = await wait_completed(*self._waiting)
            tasks = self._waiting_for(completed)
            for task in tasks:
                self._remove(task)
                await task.advance(set(completed))
        await cancel_workers(tasks)
        for task in tasks:
            if task.ended is None:
                self._add(task)
            else:
                del self._running[task]
        return [task for task in tasks if task.ended is not None]

    def _waiting_for(self, completed: Iterable[Future]) -> list[RunningTask[Result]]:
        """The tasks that wait for one of these futures, each once."""
        return list(dict.fromkeys(task for future in completed for task in self._waiting[future]))

    def _add(self, task: RunningTask[Result]) -> None:
        if task.ready:
            self._running[task] = []
            self._ready.append(task)
            return
        self._running[task] = task.futures()
        for future in self._running[task]:
            self._waiting.setdefault(future, {})[task] = None

    def _remove(self, task: RunningTask[Result]) -> None:
        for future in self._running[task]:
            others = self._waiting[future]
            del others[task]
            if not others:
                del self._waiting[future]
