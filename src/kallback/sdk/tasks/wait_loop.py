"""Waits for one task or for many: who waits for which future, kept up to date from one wait to the next.

Everything that a task waits for is a future of the one wait: results, timers, publishing steps, calls of `TaskMonitor`,
cancels. So nothing that one task waits for holds up another one. The exceptions are steps that only read the clock.

A thousand tasks may wait for a thousand futures each. So the set of futures is built once, and after a wait only the
tasks that the completed futures concern are asked again.

Everything is ordered (dictionaries keep the order of insertion, and their content follows from the journal), so that a
replay takes the same steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from restate import wait_completed

from kallback.sdk.tasks.cancellation import send_cancels
from kallback.sdk.tasks.publishing import PendingPublication
from kallback.sdk.tasks.running_task import Future, RunningTask, Waiter


class WaitLoop:
    """Runs tasks until they end; tasks that have ended already are left out.

    It may be left at any time: each task keeps what it waits for, and another loop goes on with it.

    Args:
        tasks: to run.
        until: a future that ends the wait, too.

    Attributes:
        is_interrupted: that future is completed.
    """

    def __init__(self, tasks: Iterable[RunningTask[Any]], until: Future | None = None) -> None:
        self.is_interrupted = False
        self._until: Final = () if until is None else (until,)
        self._running: Final = dict.fromkeys(task for task in tasks if task.ended is None)
        self._unplaced = list(self._running)
        self._futures: Final = dict[Waiter, list[Future]]()
        self._waiting: Final = dict[Future, dict[Waiter, None]]()
        self._cancels: Final = dict[Future, None]()

    @property
    def running(self) -> list[RunningTask[Any]]:
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

    async def step(self) -> list[RunningTask[Any]]:
        """Wait for the next event and act on it; returns the tasks that ended with it.

        Raises:
            TerminalError: the invocation was cancelled (409).
        """
        if not self._unplaced:
            await self._wait()
        return await self._place()

    async def _wait(self) -> None:
        completed, _ = await wait_completed(*self._waiting, *self._cancels, *self._until)
        self.is_interrupted = any(future in completed for future in self._until)
        for future in completed:
            self._cancels.pop(future, None)
        for waiter in self._waiters_of(completed):
            self._remove(waiter)
            self._unplaced.extend(waiter.tasks)
            await waiter.advance(set(completed))

    async def _place(self) -> list[RunningTask[Any]]:
        """Have the tasks that something happened to wait for what is next; returns those that ended."""
        tasks, self._unplaced = list(dict.fromkeys(self._unplaced)), []
        cancels = send_cancels(tasks)
        if cancels is not None:
            self._cancels[cancels] = None
        for task in tasks:
            if task.ready:
                await PendingPublication([task]).begin()
        for task in tasks:
            if task.ended is None:
                self._add(task.publication or task)
            else:
                del self._running[task]
        return [task for task in tasks if task.ended is not None]

    def _waiters_of(self, completed: Iterable[Future]) -> list[Waiter]:
        """Who waits for one of these futures, each once."""
        return list(dict.fromkeys(waiter for future in completed for waiter in self._waiting.get(future, ())))

    def _add(self, waiter: Waiter) -> None:
        if waiter in self._futures:
            return
        self._futures[waiter] = waiter.futures()
        for future in self._futures[waiter]:
            self._waiting.setdefault(future, {})[waiter] = None

    def _remove(self, waiter: Waiter) -> None:
        for future in self._futures.pop(waiter):
            others = self._waiting[future]
            del others[waiter]
            if not others:
                del self._waiting[future]
