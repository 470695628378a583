"""How much may be in flight: it bounds memory, pauses fetching, and shows which records are stuck.

The limit for all partitions together is kept here. The limit for one partition is kept by the consumer, which alone can
skip a partition and hand out records of the others; here it is only known how full each partition is.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.kafka import Consumer, Record

_REFILL_RATIO: Final = 0.75
_NEARLY_FULL_RATIO: Final = 0.75
_MAX_SET_ASIDE: Final = 20_000
"""Positions of records, or of runs of them, that wait for their summary: a few megabytes."""
_MAX_LETTER_BYTES: Final = 32 * 1024 * 1024
"""Records that wait for their dead letter and take no place: two thirds of what may be in flight by default."""
_VAIN_PROBING_S: Final = 30.0
"""Seconds of failing probes after which the records in flight may be the cause, and not Restate."""


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


class _PartitionUsage:
    """What one partition has in flight.

    Attributes:
        letters: records that wait for their dead letter and take no place, and `letter_bytes` of them.
    """

    __slots__ = ("bytes", "letter_bytes", "letters", "newest", "records")

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.letters = 0
        self.letter_bytes = 0
        self.newest = 0


class InFlightLimit:
    """Counts records and bytes in flight, and says how many more may be fetched.

    When full, it opens again at three quarters, so that fetches stay batches. When throttled (Restate is unavailable),
    it admits as many records as may be sent at one time, and after half a minute one more for each failing probe: if
    every record in flight is a poison record, a new one shows that Restate is available.
    """

    def __init__(self, context: BridgeContext) -> None:
        self._options = context.options
        self._stats = context.stats
        self._monotonic = context.clocks.monotonic
        self._limit = context.options.max_in_flight
        self._throttled_since: float | None = None
        self._positions = 0  # of records that are set aside
        self._letters: set[FetchedRecord] = set()  # that take no place
        self._letter_bytes = 0
        self._new_letters: list[FetchedRecord] = []  # of which the consumers are still to be told
        self._records: dict[FetchedRecord, None] = {}  # the oldest first
        self._usage: dict[int, _PartitionUsage] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def acquire(self, fetched: FetchedRecord) -> None:
        """Count a fetched record."""
        self._records[fetched] = None
        usage = self._usage.get(fetched.record.partition)
        if usage is None:
            usage = self._usage[fetched.record.partition] = _PartitionUsage()
        usage.records += 1
        usage.bytes += fetched.size
        usage.newest = fetched.record.offset
        stats = self._stats
        stats.in_flight += 1
        stats.in_flight_bytes += fetched.size
        self._empty.clear()
        if self._counted >= self._limit or stats.in_flight_bytes >= self._options.max_in_flight_bytes:
            self._open.clear()

    def release(self, fetched: FetchedRecord) -> None:
        """Count a settled record."""
        del self._records[fetched]
        usage = self._usage[fetched.record.partition]
        usage.records -= 1
        usage.bytes -= fetched.size
        if fetched in self._letters:
            self._letters.remove(fetched)
            self._letter_bytes -= fetched.size
            usage.letters -= 1
            usage.letter_bytes -= fetched.size
        stats = self._stats
        stats.in_flight -= 1
        stats.in_flight_bytes -= fetched.size
        if not self._open.is_set():
            self._update()
        self._check_empty()

    def await_letter(self, fetched: FetchedRecord) -> bool:
        """Take the place from a record that only waits for its dead letter: others need not wait until it is written.

        Its bytes still count in all. Beyond `_MAX_LETTER_BYTES` such records keep their places.

        Returns:
            Whether it is the first one since `tell_of_letters`, which must follow soon.
        """
        if fetched in self._letters or self._letter_bytes + fetched.size > _MAX_LETTER_BYTES:
            return False
        self._letters.add(fetched)
        self._letter_bytes += fetched.size
        usage = self._usage[fetched.record.partition]
        usage.letters += 1
        usage.letter_bytes += fetched.size
        self._new_letters.append(fetched)
        if not self._open.is_set():
            self._update()
        return len(self._new_letters) == 1

    def tell_of_letters(self) -> None:
        """Tell the consumers which records have no place any more, all at once: it costs them little then."""
        waiting: dict[Consumer, list[Record]] = {}
        for fetched in self._new_letters:
            waiting.setdefault(fetched.consumer, []).append(fetched.record)
        self._new_letters.clear()
        for consumer, records in waiting.items():
            consumer.set_aside(records)

    def set_aside(self, positions: int, records: int) -> None:
        """Count records of which only the positions are held, one for a run, until their summary is durable."""
        self._positions += positions
        self._stats.set_aside += records
        self._empty.clear()
        if self._positions >= _MAX_SET_ASIDE:
            self._open.clear()

    def settled_aside(self, positions: int, records: int) -> None:
        """Count records that were set aside and are settled."""
        self._positions -= positions
        self._stats.set_aside -= records
        if not self._open.is_set():
            self._update()
        self._check_empty()

    def throttle(self) -> None:
        """Admit only what probes need."""
        self._throttled_since = self._monotonic()
        self._limit = min(self._options.concurrency, self._options.max_in_flight)
        self._update()

    def on_failed_completion(self) -> None:
        """Admit one more record if this was one more failing probe after half a minute of them."""
        if self._throttled_since is not None and self._monotonic() - self._throttled_since >= _VAIN_PROBING_S:
            self._limit = min(max(self._limit, self._counted) + 1, self._options.max_in_flight)
            self._update()

    def restore(self) -> None:
        """Admit what the options allow."""
        self._throttled_since = None
        self._limit = self._options.max_in_flight
        self._update()

    async def wait(self) -> int:
        """Wait until records may be fetched; return how many."""
        await self._open.wait()
        return max(1, min(self._options.fetch_limit, self._limit - self._counted))

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await self._empty.wait()

    def is_blocking(self, fetched: FetchedRecord) -> bool:
        """Return whether the partition of an old record has nearly used up its limit, or its window of offsets."""
        usage = self._usage[fetched.record.partition]
        ahead = usage.newest - fetched.record.offset
        return (
            usage.records - usage.letters >= self._options.partition_in_flight * _NEARLY_FULL_RATIO
            or usage.bytes - usage.letter_bytes >= self._options.partition_in_flight_bytes * _NEARLY_FULL_RATIO
            or ahead >= self._options.consumer.window * _NEARLY_FULL_RATIO
        )

    def backlog(self) -> Backlog:
        """Return what is in flight, by age; the cost grows with the number of stuck records."""
        now, stuck, oldest = self._monotonic(), 0, 0.0
        for fetched in self._records:
            age = now - fetched.since
            oldest = max(oldest, age)
            if age < self._options.stuck_after:
                break
            stuck += 1
        return Backlog(oldest, stuck, {number: usage.records for number, usage in self._usage.items()})

    @property
    def _counted(self) -> int:
        """Records that count for the limit."""
        return self._stats.in_flight - len(self._letters)

    def _check_empty(self) -> None:
        if self._stats.in_flight == 0 and self._stats.set_aside == 0:
            self._empty.set()

    def _update(self) -> None:
        if self._positions >= _MAX_SET_ASIDE:
            self._open.clear()
            return
        throttled = self._throttled_since is not None
        records = self._counted <= (self._limit - 1 if throttled else self._limit * _REFILL_RATIO)
        if records and self._stats.in_flight_bytes <= self._options.max_in_flight_bytes * _REFILL_RATIO:
            self._open.set()
        elif self._counted >= self._limit:
            self._open.clear()
