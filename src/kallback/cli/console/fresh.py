"""A value that is read at most once in some seconds, however many browsers look at it.

Ownership: one reading at a time; requests that come meanwhile wait for it. An error is told to the request that read,
and the next one reads again. Cancellation of a request leaves the reading to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")


class FreshValue(Generic[Value]):
    """Reads a value, and returns it again while it is fresh.

    Args:
        read: reads it.
        seconds: how long it is fresh.
        now: seconds.
    """

    def __init__(self, read: Callable[[], Awaitable[Value]], seconds: float, now: Callable[[], float]) -> None:
        self._read: Final = read
        self._seconds: Final = seconds
        self._now: Final = now
        self._reading = asyncio.Lock()
        self._last: tuple[float, Value] | None = None

    async def get(self) -> Value:
        """Return a value that is fresh; raises what reading it raises."""
        async with self._reading:
            now = self._now()
            if self._last is None or now - self._last[0] >= self._seconds:
                self._last = now, await self._read()
            return self._last[1]
