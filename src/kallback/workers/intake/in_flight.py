"""The attempts in flight: stopping one of them, and the end of all.

Owned by the worker's loop; nothing is awaited between looking and changing, so no lock is needed.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from kallback.protocol.controls import Cancel, CancelProof
from kallback.workers.execution.function_call import FunctionCall
from kallback.workers.logs import guarded_logger
from kallback.workers.stop_reason import StopReason

logger = guarded_logger(__name__)

_CLEAN_UP_TIMEOUT_S: Final = 2.0  # for interrupted functions after a drain that was too short
_HAND_BACK_TIMEOUT_S: Final = 2.0  # for Kafka to take what is handed back
_CANCEL_TIMEOUT_S: Final = 5.0  # for attempts to end once they are cancelled: they only let go of what they wait for


class InFlightAttempts:
    """Attempts, each a task on the loop, most of them with a function call in it.

    Args:
        on_refused: is given cancels that are not authentic.
    """

    def __init__(self, on_refused: Callable[[Cancel, CancelProof], None] = lambda _cancel, _proof: None) -> None:
        self._on_refused: Final = on_refused
        self._attempts: Final = dict[asyncio.Task[None], FunctionCall | None]()

    def __len__(self) -> int:
        return len(self._attempts)

    def start(
        self,
        attempt: Coroutine[Any, Any, None],
        on_end: Callable[[BaseException | None], None],
        call: FunctionCall | None = None,
    ) -> asyncio.Task[None]:
        """Start an attempt.

        Args:
            attempt: what to do.
            on_end: is called when it has ended, with the error that it ended with, also if it was cancelled.
            call: the function call in it, if there is one: what can be stopped.
        """
        task = asyncio.create_task(attempt, name="kallback-attempt")
        self._attempts[task] = call
        task.add_done_callback(functools.partial(self._on_end, on_end))
        return task

    def calls(self) -> Iterable[FunctionCall]:
        """The function calls of all attempts."""
        return (call for call in self._attempts.values() if call is not None)

    def by_type(self) -> Counter[str]:
        """How many functions of each task type were called and are not settled."""
        return Counter(call.context.task_type for call in self.calls() if call.started_at is not None)

    def oldest(self, now: float) -> float:
        """Seconds since the oldest call began, 0 without one; `now` is of `time.monotonic`."""
        return max((call.seconds(now) for call in self.calls()), default=0.0)

    def ages(self, now: float) -> list[float]:
        """Seconds for which each function has run that still runs or is about to."""
        running = (call for call in self.calls() if call.running is None or not call.running.done())
        return [call.seconds(now) for call in running]

    def waiting_for_start(self) -> int:
        """How many calls wait for a thread or process."""
        return sum(call.waits_for_start for call in self.calls())

    def cancel(self, cancel: Cancel) -> None:
        """Stop what an authentic cancel covers."""
        for call in self._stoppable():
            if not cancel.covers(call.context.task_id, call.context.attempt):
                continue
            proof = cancel.proof(call.cancel_hash)
            if proof is not CancelProof.AUTHENTIC:
                self._on_refused(cancel, proof)
            else:
                call.context.log.info("cancelled by the caller (%s)", cancel.reason)
                call.stop(StopReason(cancel.reason.value))

    def expire(self, before: float) -> None:
        """Stop what has a deadline before this time (epoch seconds)."""
        for call in self._stoppable():
            deadline = call.context.deadline
            if deadline is not None and deadline.timestamp() < before:
                call.context.log.info("stopped: its deadline has passed")
                call.expire()

    def _stoppable(self) -> list[FunctionCall]:
        """Those that run, or are about to; one whose result waits for Kafka has nothing to stop any more."""
        return [call for call in self.calls() if call.is_stoppable]

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - how long to wait is what this is about
        """Wait for all attempts; interrupt what is left when the time is over.

        Returns:
            How many were abandoned.
        """
        abandoned = 0
        try:
            if self._attempts:
                await asyncio.wait(self._attempts, timeout=timeout)
            await self._hand_back()
        finally:
            abandoned = len(self._attempts)
            await self._abandon()
        return abandoned

    async def _hand_back(self) -> None:
        """Interrupt the functions, and let their attempts end: they are handed back, or left for another worker."""
        calls = [call for call in self.calls() if call.is_stoppable]
        for call in calls:
            call.stop(StopReason.WORKER_STOPPING)
        for timeout in (_CLEAN_UP_TIMEOUT_S, _HAND_BACK_TIMEOUT_S):
            if calls and self._attempts:
                await asyncio.wait(self._attempts, timeout=timeout)
            for call in calls:
                call.give_up()
        _log_stubborn(calls)

    async def _abandon(self) -> None:
        """End what is left, so that none settles its record; then give the functions a moment."""
        attempts, calls = list(self._attempts), list(self.calls())
        for attempt in attempts:
            attempt.cancel()
        for call in calls:
            call.context.log.warning("unfinished at the end of the drain: left for another worker")
            call.stop(StopReason.WORKER_STOPPING)
        if attempts:
            _, late = await asyncio.wait(attempts, timeout=_CANCEL_TIMEOUT_S)
            if late:
                logger.error("%d attempts did not end within %.0f s of their cancel", len(late), _CANCEL_TIMEOUT_S)
        running = [end for call in calls if (end := call.running) is not None]
        if running:
            await asyncio.wait(running, timeout=_CLEAN_UP_TIMEOUT_S)
        _log_stubborn(calls)

    def _on_end(self, on_end: Callable[[BaseException | None], None], task: asyncio.Task[None]) -> None:
        del self._attempts[task]
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, asyncio.CancelledError):
            logger.error("an attempt ended in an error of the worker, its record was not settled", exc_info=error)
        on_end(error)


def _log_stubborn(calls: Iterable[FunctionCall]) -> None:
    for call in calls:
        if call.running is not None and not call.running.done():
            call.context.log.warning("ignores its interruption: the function ends with the process at the latest")
