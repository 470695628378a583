"""How much may be in flight: the bound on memory, the valve before Kafka, and what is stuck in there.

The bound on all partitions together is kept here. That of one partition is kept by the consumer, which alone can pass
over a partition and hand out records of the others; here it is only known how full each is.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from kallback.bridge.context import Shared
from kallback.bridge.in_flight.deliveries import Arrival

_REFILL: Final = 0.75
_CROWDED: Final = 0.75
_VAIN: Final = 30.0
"""Seconds of vain probing after which the records at hand may be the trouble, and not Restate."""


class Backlog(msgspec.Struct, frozen=True):
    """What is in flight, by age.

    Attributes:
        oldest_age: seconds since the oldest record in flight was fetched; 0 if there is none.
        stuck: records in flight for longer than `BridgeOptions.stuck_after`.
        by_partition: records in flight by partition.
    """

    oldest_age: float
    stuck: int
    by_partition: dict[int, int]


class _Place:
    """One partition's part of what is in flight."""

    __slots__ = ("bytes", "newest", "records")

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.newest = 0


class Room:
    """Counts records and bytes in flight.

    Full, it opens again at three quarters, so that fetches stay batches. Narrowed (Restate is away), it lets in as
    many records as may be under way, and after half a minute one more for each vain probe: should all that are at
    hand be poison, fresh ones will show that Restate is there.
    """

    def __init__(self, shared: Shared) -> None:
        self._options = shared.options
        self._stats = shared.stats
        self._monotonic = shared.clocks.monotonic
        self._limit = shared.options.max_in_flight
        self._narrow_since: float | None = None
        self._arrivals: dict[Arrival, None] = {}  # the oldest first
        self._places: dict[int, _Place] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self, arrival: Arrival) -> None:
        """One record more."""
        self._arrivals[arrival] = None
        place = self._places.get(arrival.record.partition)
        if place is None:
            place = self._places[arrival.record.partition] = _Place()
        place.records += 1
        place.bytes += arrival.size
        place.newest = arrival.record.offset
        stats = self._stats
        stats.in_flight += 1
        stats.in_flight_bytes += arrival.size
        self._empty.clear()
        if stats.in_flight >= self._limit or stats.in_flight_bytes >= self._options.max_in_flight_bytes:
            self._open.clear()

    def leave(self, arrival: Arrival) -> None:
        """One record less."""
        del self._arrivals[arrival]
        place = self._places[arrival.record.partition]
        place.records -= 1
        place.bytes -= arrival.size
        stats = self._stats
        stats.in_flight -= 1
        stats.in_flight_bytes -= arrival.size
        if not self._open.is_set():
            self._reconsider()
        if stats.in_flight == 0:
            self._empty.set()

    def narrow(self) -> None:
        """Let in next to nothing."""
        self._narrow_since = self._monotonic()
        self._limit = min(self._options.concurrency, self._options.max_in_flight)
        self._reconsider()

    def trickle(self) -> None:
        """A completion failed: if that was one more vain probe, let in one record more."""
        if self._narrow_since is not None and self._monotonic() - self._narrow_since >= _VAIN:
            self._limit = min(max(self._limit, self._stats.in_flight) + 1, self._options.max_in_flight)
            self._reconsider()

    def widen(self) -> None:
        """Let in as much as the options say."""
        self._narrow_since = None
        self._limit = self._options.max_in_flight
        self._reconsider()

    async def wait(self) -> int:
        """Wait until there is room; how many records may come in."""
        await self._open.wait()
        return max(1, min(self._options.fetch_limit, self._limit - self._stats.in_flight))

    async def emptied(self) -> None:
        """Wait until nothing is in flight."""
        await self._empty.wait()

    def crowded(self, arrival: Arrival) -> bool:
        """Whether an old record's partition has nearly used up its room, or its window of offsets."""
        place = self._places[arrival.record.partition]
        ahead = place.newest - arrival.record.offset
        return (
            place.records >= self._options.partition_in_flight * _CROWDED
            or place.bytes >= self._options.partition_in_flight_bytes * _CROWDED
            or ahead >= self._options.consumer.window * _CROWDED
        )

    def backlog(self) -> Backlog:
        """What is in flight, by age; costs as much as there are stuck records."""
        now, stuck, oldest = self._monotonic(), 0, 0.0
        for arrival in self._arrivals:
            age = now - arrival.since
            oldest = max(oldest, age)
            if age < self._options.stuck_after:
                break
            stuck += 1
        return Backlog(oldest, stuck, {number: place.records for number, place in self._places.items()})

    def _reconsider(self) -> None:
        records = self._stats.in_flight <= (self._limit * _REFILL if self._narrow_since is None else self._limit - 1)
        if records and self._stats.in_flight_bytes <= self._options.max_in_flight_bytes * _REFILL:
            self._open.set()
        elif self._stats.in_flight >= self._limit:
            self._open.clear()
