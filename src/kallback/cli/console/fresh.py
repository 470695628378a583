"""A value that is read at most once in some seconds, however many browsers look at it.

What took long to read is kept for longer: reading takes at most a part of the time, by default a fortieth, so that
browsers that look all day cost the servers little. What says that a server did not answer is not: that takes long, and
is wrong as soon as the server is back.

Ownership: one reading at a time; requests that come meanwhile wait for it, and share its error. The next one reads
again. Cancellation of a request leaves the reading to the next one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from kallback.lifecycle import InTurn

Value = TypeVar("Value")
_PAUSE: Final = 39
"""So that reading takes a fortieth of the time."""


class FreshValue(Generic[Value]):
    """Reads a value, and returns it again while it is fresh.

    Args:
        read: reads it.
        seconds: how long it is fresh, at least.
        now: seconds.
        pause: how many times as long as it took to read, it is fresh at least.
        has_failed: whether a value is not what was asked for, because a server did not answer.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Value]],
        seconds: float,
        now: Callable[[], float],
        pause: float = _PAUSE,
        has_failed: Callable[[Value], bool] = lambda _: False,
    ) -> None:
        self._has_failed: Final = has_failed
        self._read: Final = read
        self._seconds: Final = seconds
        self._pause: Final = pause
        self._now: Final = now
        self._readings: Final = InTurn()
        self._last: tuple[float, float, Value] | None = None
        """When it was read, until when it is fresh, and the value."""
        self._forgotten = 0

    async def get(self) -> Value:
        """Return a value that is fresh; raises what reading it raises."""
        return await self._readings.ask(self._fresh)

    def forget(self) -> None:
        """Have the next request read again: what was read, or is being read, may be out of date."""
        self._last = None
        self._forgotten += 1

    async def _fresh(self) -> Value:
        began, forgotten = self._now(), self._forgotten
        if self._last is not None:
            read, until, value = self._last
            if read <= began < until:  # earlier than it was read: the clock was set back
                return value
        value = await self._read()
        ended = self._now()
        if forgotten == self._forgotten:
            pause = self._seconds if self._has_failed(value) else self._pause * (ended - began)
            self._last = began, max(began + self._seconds, ended + pause), value
        return value
