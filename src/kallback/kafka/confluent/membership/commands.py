"""What an event loop asks of a consumer thread, and who waits for it.

Ownership: the loop asks and waits; the thread takes what was asked, does it and answers. Everything that is asked is
answered, also what comes too late.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

from kallback.kafka.confluent.client import log

if TYPE_CHECKING:
    from collections.abc import Callable

Command = Literal["commit", "stop"]

_FOLLOW_S: Final = 0.25
"""So long after a commit was asked for, another one is expected."""
_PATIENCE_S: Final = 5.0
"""So long an answer of Kafka is waited for; without a broker none may ever come."""


class Commands:
    """Commands for one thread.

    Args:
        loop: on which they are asked.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._queue: Final[queue.SimpleQueue[tuple[Command, asyncio.Future[None]]]] = queue.SimpleQueue()
        self._lock: Final = threading.Lock()
        self._closed = False
        self._commits: list[asyncio.Future[None]] = []
        self._stops: list[asyncio.Future[None]] = []
        self._asked_at = -math.inf

    # The loop's side.

    async def ask(self, what: Command, then: Callable[[], object]) -> None:
        """Have the thread do something between two polls, and wait for it; `then` wakes the thread."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._lock:
            if self._closed:
                return
            self._queue.put((what, future))
        then()
        await asyncio.shield(future)

    # The thread's side.

    def take(self) -> bool:
        """Take what was asked since this was called last; return whether a commit was."""
        taken = len(self._commits)
        while not self._queue.empty():
            what, future = self._queue.get()
            if what == "stop":
                self._stops.append(future)
            else:
                self._commits.append(future)
                self._asked_at = time.monotonic()
        return len(self._commits) > taken

    @property
    def stop_asked(self) -> bool:
        """Whether the thread is to end; that is answered at its end."""
        return bool(self._stops)

    @property
    def none_waits(self) -> bool:
        """Whether nothing is asked, and nobody waits for a commit."""
        return self._queue.empty() and not self._commits

    def may_follow(self, now: float) -> bool:
        """Whether another command is expected soon."""
        return now < self._asked_at + _FOLLOW_S

    def answer_commits(self, *, under_way: bool, now: float) -> None:
        """Answer who asked for commits, when no commit is under way or one is for too long."""
        if not under_way or now > self._asked_at + _PATIENCE_S:
            waiting, self._commits = self._commits, []
            self._answer(waiting)

    def close(self) -> None:
        """Answer everything, from now on at once."""
        with self._lock:
            self._closed = True
        self.take()
        self._answer([*self._commits, *self._stops])

    def _answer(self, waiting: list[asyncio.Future[None]]) -> None:
        for each in waiting:
            try:
                self._loop.call_soon_threadsafe(_release, each)
            except RuntimeError:  # the loop was closed meanwhile: nothing waits
                log.debug("a command of a closed event loop")


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():  # it is, if the loop is being closed
        future.set_result(None)
