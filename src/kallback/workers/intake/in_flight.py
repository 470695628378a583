"""The tasks in flight: stopping one of them, and the end of all.

Owned by the worker's loop; nothing is awaited between looking and changing, so no lock is needed.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from kallback.protocol.controls import Cancel
from kallback.workers.execution.function_call import FunctionCall
from kallback.workers.execution.outcomes import StopReason
from kallback.workers.observability.probes import RunningTasks

logger = logging.getLogger(__name__)

_GRACE: Final = 2.0  # seconds for interrupted functions to clean up after a drain that was too short


class InFlight:
    """The attempts, each a task on the loop, most of them with a function call in it."""

    def __init__(self) -> None:
        self._attempts: dict[asyncio.Task[None], FunctionCall | None] = {}

    def __len__(self) -> int:
        return len(self._attempts)

    def begin(
        self, attempt: Coroutine[Any, Any, None], then: Callable[[], None], call: FunctionCall | None = None
    ) -> None:
        """Begin a attempt.

        Args:
            attempt: what to do.
            then: is called when it is over.
            call: the function call in it, if there is one: what can be stopped.
        """
        task = asyncio.create_task(attempt, name="kallback-attempt")
        self._attempts[task] = call
        task.add_done_callback(functools.partial(self._over, then))

    def running(self, now: float, places: int) -> RunningTasks:
        """What runs now; `now` is of `time.monotonic`."""
        begun = [each for each in self._attempts.values() if each is not None and each.began_at is not None]
        oldest = max((now - each.began_at for each in begun if each.began_at is not None), default=0.0)
        return RunningTasks(Counter(each.context.task_type for each in begun), oldest, places)

    def cancel(self, cancel: Cancel) -> None:
        """StopReason what a cancel covers."""
        for call in self._stoppable():
            if cancel.covers(call.context.task_id, call.context.attempt):
                call.context.log.info("the caller waits no more (%s)", cancel.reason)
                call.stop(StopReason.CANCELLED)

    def expire(self, before: float) -> None:
        """StopReason what has a deadline before this time (epoch seconds)."""
        for call in self._stoppable():
            deadline = call.context.deadline
            if deadline is not None and deadline.timestamp() < before:
                call.context.log.info("stopped: its deadline is past")
                call.stop(StopReason.EXPIRED)

    def _stoppable(self) -> list[FunctionCall]:
        """Those that run, or are about to; one whose result waits for Kafka has nothing to stop any more."""
        return [
            each
            for each in self._attempts.values()
            if each is not None and each.stopped is None and not (each.begun is not None and each.begun.done())
        ]

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - how long to wait is what this is about
        """Wait for all attempts; interrupt what is left when the time is over.

        Returns:
            How many were abandoned.
        """
        abandoned = 0
        try:
            if self._attempts:
                await asyncio.wait(self._attempts, timeout=timeout)
        finally:
            abandoned = len(self._attempts)
            await self._abandon()
        return abandoned

    async def _abandon(self) -> None:
        """End the attempts first, so that none settles its record; then give the functions a moment."""
        attempts = dict(self._attempts)
        for attempt in attempts:
            attempt.cancel()
        for call in attempts.values():
            if call is not None:
                call.context.log.warning("unfinished at the end of the drain: left for another worker")
                call.stop(StopReason.ABANDONED)
        if attempts:
            await asyncio.wait(attempts)
        ends = [end for each in attempts.values() if each is not None and (end := each.begun) is not None]
        if ends:
            _, stubborn = await asyncio.wait(ends, timeout=_GRACE)
            if stubborn:
                logger.warning("%d task functions ignore their cancellation and are left alone", len(stubborn))

    def _over(self, then: Callable[[], None], task: asyncio.Task[None]) -> None:
        del self._attempts[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task was not settled, Kafka delivers it again after a restart", exc_info=error)
        then()
