"""How much may be in flight: the bound on memory, the valve before Kafka, and what is stuck in there.

The bound on all partitions together is kept here. That of one partition is kept by the consumer, which alone can pass
over a partition and hand out records of the others; here it is only known how full each is.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.deliveries import FetchedRecord

_REFILL: Final = 0.75
_NEARLY_FULL: Final = 0.75
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


class InFlightLimit:
    """Counts records and bytes in flight.

    Full, it opens again at three quarters, so that fetches stay batches. Narrowed (Restate is away), it lets in as
    many records as may be under way, and after half a minute one more for each vain probe: should all that are at
    hand be poison, fresh ones will show that Restate is there.
    """

    def __init__(self, context: BridgeContext) -> None:
        self._options = context.options
        self._stats = context.stats
        self._monotonic = context.clocks.monotonic
        self._limit = context.options.max_in_flight
        self._throttled_since: float | None = None
        self._records: dict[FetchedRecord, None] = {}  # the oldest first
        self._places: dict[int, _Place] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def acquire(self, fetched: FetchedRecord) -> None:
        """One record more."""
        self._records[fetched] = None
        place = self._places.get(fetched.record.partition)
        if place is None:
            place = self._places[fetched.record.partition] = _Place()
        place.records += 1
        place.bytes += fetched.size
        place.newest = fetched.record.offset
        stats = self._stats
        stats.in_flight += 1
        stats.in_flight_bytes += fetched.size
        self._empty.clear()
        if stats.in_flight >= self._limit or stats.in_flight_bytes >= self._options.max_in_flight_bytes:
            self._open.clear()

    def release(self, fetched: FetchedRecord) -> None:
        """One record less."""
        del self._records[fetched]
        place = self._places[fetched.record.partition]
        place.records -= 1
        place.bytes -= fetched.size
        stats = self._stats
        stats.in_flight -= 1
        stats.in_flight_bytes -= fetched.size
        if not self._open.is_set():
            self._update()
        if stats.in_flight == 0:
            self._empty.set()

    def throttle(self) -> None:
        """Let in next to nothing."""
        self._throttled_since = self._monotonic()
        self._limit = min(self._options.concurrency, self._options.max_in_flight)
        self._update()

    def allow_probe(self) -> None:
        """A completion failed: if that was one more vain probe, let in one record more."""
        if self._throttled_since is not None and self._monotonic() - self._throttled_since >= _VAIN:
            self._limit = min(max(self._limit, self._stats.in_flight) + 1, self._options.max_in_flight)
            self._update()

    def restore(self) -> None:
        """Let in as much as the options say."""
        self._throttled_since = None
        self._limit = self._options.max_in_flight
        self._update()

    async def wait(self) -> int:
        """Wait until there is room; how many records may come in."""
        await self._open.wait()
        return max(1, min(self._options.fetch_limit, self._limit - self._stats.in_flight))

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await self._empty.wait()

    def overloaded(self, fetched: FetchedRecord) -> bool:
        """Whether an old record's partition has nearly used up its room, or its window of offsets."""
        place = self._places[fetched.record.partition]
        ahead = place.newest - fetched.record.offset
        return (
            place.records >= self._options.partition_in_flight * _NEARLY_FULL
            or place.bytes >= self._options.partition_in_flight_bytes * _NEARLY_FULL
            or ahead >= self._options.consumer.window * _NEARLY_FULL
        )

    def backlog(self) -> Backlog:
        """What is in flight, by age; costs as much as there are stuck records."""
        now, stuck, oldest = self._monotonic(), 0, 0.0
        for fetched in self._records:
            age = now - fetched.since
            oldest = max(oldest, age)
            if age < self._options.stuck_after:
                break
            stuck += 1
        return Backlog(oldest, stuck, {number: place.records for number, place in self._places.items()})

    def _update(self) -> None:
        records = self._stats.in_flight <= (self._limit * _REFILL if self._throttled_since is None else self._limit - 1)
        if records and self._stats.in_flight_bytes <= self._options.max_in_flight_bytes * _REFILL:
            self._open.set()
        elif self._stats.in_flight >= self._limit:
            self._open.clear()
