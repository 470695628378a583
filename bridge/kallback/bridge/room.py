"""How much may be in flight: the bound on memory, and the valve before Kafka."""

from __future__ import annotations

import asyncio
from typing import Final

from kallback.bridge.shared import Shared

_REFILL: Final = 0.75


class Room:
    """Counts records and bytes in flight.

    Full, it opens again at three quarters, so that fetches stay batches. Narrowed (Restate is away), it still lets in
    as many records as there are senders: fresh ones to probe with, should those at hand be poison.
    """

    def __init__(self, shared: Shared) -> None:
        self._options = shared.options
        self._stats = shared.stats
        self._limit = shared.options.max_in_flight
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self, size: int) -> None:
        """One record more."""
        stats = self._stats
        stats.in_flight += 1
        stats.in_flight_bytes += size
        self._empty.clear()
        if stats.in_flight >= self._limit or stats.in_flight_bytes >= self._options.max_in_flight_bytes:
            self._open.clear()

    def leave(self, size: int) -> None:
        """One record less."""
        stats = self._stats
        stats.in_flight -= 1
        stats.in_flight_bytes -= size
        if not self._open.is_set():
            self._reconsider()
        if stats.in_flight == 0:
            self._empty.set()

    def narrow(self) -> None:
        """Let in next to nothing."""
        self._limit = min(self._options.concurrency, self._options.max_in_flight)
        self._reconsider()

    def widen(self) -> None:
        """Let in as much as the options say."""
        self._limit = self._options.max_in_flight
        self._reconsider()

    async def wait(self) -> int:
        """Wait until there is room; how many records may come in."""
        await self._open.wait()
        return max(1, min(self._options.fetch_limit, self._limit - self._stats.in_flight))

    async def emptied(self) -> None:
        """Wait until nothing is in flight."""
        await self._empty.wait()

    def _reconsider(self) -> None:
        records = self._stats.in_flight <= self._limit * _REFILL
        if records and self._stats.in_flight_bytes <= self._options.max_in_flight_bytes * _REFILL:
            self._open.set()
        elif self._stats.in_flight >= self._limit:
            self._open.clear()
