"""The tasks in flight: how many there may be, cancelling one of them, and the end of all.

Owned by the worker's loop; nothing is awaited between looking and changing, so no lock is needed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from kallback.protocol.controls import Cancel
from kallback.workers.runner import Execution

logger = logging.getLogger(__name__)

_GRACE: Final = 2.0  # seconds for interrupted functions to clean up after a drain that was too short


class InFlight:
    """A bounded set of lives, each a task on the loop, most of them with a function call in it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lives: dict[asyncio.Task[None], Execution | None] = {}
        self._freed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._lives)

    async def free(self) -> int:
        """Wait until another life may begin; return how many may."""
        while len(self._lives) >= self._limit:
            self._freed.clear()
            await self._freed.wait()
        return self._limit - len(self._lives)

    def begin(self, life: Coroutine[Any, Any, None], execution: Execution | None = None) -> None:
        """Begin a life.

        Args:
            life: what to do.
            execution: the function call in it, if there is one: what can be cancelled.
        """
        task = asyncio.create_task(life, name="kallback-life")
        self._lives[task] = execution
        task.add_done_callback(self._over)

    def cancel(self, cancel: Cancel) -> None:
        """Stop what a cancel covers."""
        for execution in self._lives.values():
            if execution is None or execution.context.cancelled:
                continue
            if cancel.covers(execution.context.task_id, execution.context.attempt):
                execution.context.log.info("the caller waits no more (%s)", cancel.reason)
                execution.cancel()

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - how long to wait is what this is about
        """Wait for all lives; interrupt what is left when the time is over.

        Returns:
            How many were abandoned.
        """
        abandoned = 0
        try:
            if self._lives:
                await asyncio.wait(self._lives, timeout=timeout)
        finally:
            abandoned = len(self._lives)
            await self._abandon()
        return abandoned

    async def _abandon(self) -> None:
        """End the lives first, so that none settles its record; then give the functions a moment."""
        lives = dict(self._lives)
        for life in lives:
            life.cancel()
        for execution in lives.values():
            if execution is not None:
                execution.context.log.warning("unfinished at the end of the drain: left for another worker")
                execution.cancel()
        if lives:
            await asyncio.wait(lives)
        calls = [call for each in lives.values() if each is not None and (call := each.begun) is not None]
        if calls:
            _, stubborn = await asyncio.wait(calls, timeout=_GRACE)
            if stubborn:
                logger.warning("%d task functions ignore their cancellation and are left alone", len(stubborn))

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._lives[task]
        self._freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task was not settled, Kafka delivers it again after a restart", exc_info=error)
