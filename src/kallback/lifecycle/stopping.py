"""Stops the components of an owner one after the other, within one bound for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from kallback.settings.logs import NamedLog

_LEAST_S: Final = 0.5  # what a component gets if others have used up the time: enough to close a connection


class StopDeadline:
    """A bound for all components together: a component that hangs is cancelled, named in the log, and left behind.

    Args:
        owner: named in log lines.
        seconds: for all components.
    """

    def __init__(self, owner: str, seconds: float, log: NamedLog) -> None:
        self._owner: Final = owner
        self._at = asyncio.get_running_loop().time() + seconds
        self._log: Final = log

    @property
    def remaining(self) -> float:
        """Seconds that the next component may take."""
        return max(_LEAST_S, self._at - asyncio.get_running_loop().time())

    def extend(self, seconds: float) -> None:
        """Allow more time: what a drain took, which has a bound of its own."""
        self._at += seconds

    async def stop(self, name: str, stop: Callable[[], Awaitable[object]]) -> bool:
        """Stop one component; an error is logged, because the others must stop, too.

        Returns:
            whether it stopped in time and without an error.
        """
        task = asyncio.ensure_future(stop())
        task.add_done_callback(_retrieve)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.remaining)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=_LEAST_S)
            raise
        if not done:
            task.cancel()
            self._log.error("a component did not stop in time", owner=self._owner, part=name)
            return False
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log.error("a component failed to stop", owner=self._owner, part=name, reason=repr(error))
        return error is None


def _retrieve(task: asyncio.Future[object]) -> None:
    """A component that is left behind may still fail: the log has it already."""
    if not task.cancelled():
        task.exception()
