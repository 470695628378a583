"""Notices a blocked event loop, and names what blocks it: user code that blocks in an `async def`.

A blocked loop answers no heartbeats of the group, sees no cancels and does no other task; aiokafka's membership ends
after the session timeout. A thread asks the loop for an answer again and again. When none comes in time it logs one
line: the task, how long, and where in the code the loop's thread is now. It then waits until the loop answers.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Final

from kallback.workers.execution.function_call import NAME
from kallback.workers.logs import guarded_logger

logger = guarded_logger(__name__)

_JOIN_INTERVAL_S: Final = 0.01


class BlockedLoopDetector:
    """Watches the loop that starts it.

    Args:
        limit: seconds without an answer that count as blocked.
    """

    def __init__(self, limit: float) -> None:
        self._limit: Final = limit
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Begin to watch the running loop."""
        loop, ident = asyncio.get_running_loop(), threading.get_ident()
        thread = threading.Thread(target=self._watch, args=(loop, ident), name="kallback-blocked-loop", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            logger.warning("a blocked event loop will not be noticed: %s", error)
        else:
            self._thread = thread

    async def stop(self) -> None:
        """Return when the thread has ended; twice is fine."""
        self._ending.set()
        while self._thread is not None and self._thread.is_alive():  # noqa: ASYNC110 - a thread has no awaitable end
            await asyncio.sleep(_JOIN_INTERVAL_S)

    def _watch(self, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        try:
            while not self._ending.is_set() and not loop.is_closed():
                self._ask(loop, ident)
                self._ending.wait(self._limit / 2)
        except BaseException:  # a thread that ends in silence looks like a loop that is never blocked
            if not loop.is_closed():
                logger.exception("a blocked event loop will no longer be noticed")

    def _ask(self, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        answered, asked = threading.Event(), time.monotonic()
        loop.call_soon_threadsafe(answered.set)
        if answered.wait(self._limit):
            return
        _report(loop, ident, time.monotonic() - asked)
        while not (answered.wait(self._limit) or loop.is_closed()):
            pass


def _report(loop: asyncio.AbstractEventLoop, ident: int, seconds: float) -> None:
    task = asyncio.current_task(loop)
    what = "callback" if task is None else task.get_name().removeprefix(NAME)
    frame = sys._current_frames().get(ident)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one way
    where = "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})"
    logger.warning(
        "[%s] blocks the event loop for %.1f s, at %s: meanwhile no other task runs, and the consumer may lose "
        "its partitions. Register a plain `def` (a thread), or executor='process'",
        what,
        seconds,
        where,
    )
