"""The bound on what is in flight."""

from __future__ import annotations

import asyncio

from kallback.bridge import BridgeOptions, Clocks
from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.kafka import ConsumerOptions, Record


def limit_of(**options: int) -> InFlightLimit:
    """A limit with these options."""
    return InFlightLimit(BridgeContext(BridgeOptions(**options)))  # type: ignore[arg-type] # counts only


def fetched(size: int = 0, *, partition: int = 0, offset: int = 0, since: float = 0.0) -> FetchedRecord:
    """A record of so many bytes."""
    record = Record("t", partition, offset, 0, None, b"x" * size, ())
    return FetchedRecord(record, None, since)  # type: ignore[arg-type] # no consumer is called


async def is_open(limit: InFlightLimit) -> bool:
    """Whether one could come in now."""
    waiting = asyncio.ensure_future(limit.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    return waiting.done() and not waiting.cancelled()


async def test_full_of_records() -> None:
    """Full at the bound, open again at three quarters."""
    limit = limit_of(max_in_flight=4)
    inside = [fetched() for _ in range(4)]
    for each in inside:
        limit.acquire(each)
    full = await is_open(limit)
    limit.release(inside[0])

    assert (full, await is_open(limit)) == (False, True)


async def test_full_of_bytes() -> None:
    """A few large values fill it too."""
    limit = limit_of(max_in_flight_bytes=100)
    large = fetched(100)
    limit.acquire(large)
    full = await is_open(limit)
    limit.release(large)

    assert (full, await is_open(limit)) == (False, True)


async def test_it_says_how_many_may_come_in() -> None:
    """A fetch never overfills it."""
    limit = limit_of(max_in_flight=10, fetch_limit=8)
    first = await limit.wait()
    for _ in range(7):
        limit.acquire(fetched())
    assert (first, await limit.wait()) == (8, 3)


async def test_throttled_it_lets_in_what_senders_can_probe_with() -> None:
    """While Restate is unavailable, next to nothing more is fetched."""
    limit = limit_of(max_in_flight=1000, concurrency=4)
    for _ in range(4):
        limit.acquire(fetched())
    limit.throttle()
    narrow = await is_open(limit)
    limit.restore()

    assert (narrow, await is_open(limit)) == (False, True)


async def test_failing_probes_admit_one_more_each() -> None:
    """After some seconds of them; else nothing healthy could ever be tried."""
    now = 0.0
    limit = InFlightLimit(BridgeContext(BridgeOptions(concurrency=64), Clocks(monotonic=lambda: now)))
    for _ in range(100):
        limit.acquire(fetched())
    limit.throttle()
    limit.on_failed_completion()
    before = await is_open(limit)
    now = 30.0
    limit.on_failed_completion()

    assert (before, await is_open(limit)) == (False, True)


async def test_a_partition_is_blocking_by_records_or_by_offsets() -> None:
    """The room of one partition, or its commit window, is used up to three quarters."""
    limit = InFlightLimit(BridgeContext(BridgeOptions(partition_in_flight=4, consumer=ConsumerOptions(window=100))))
    full, far, empty = fetched(partition=0), fetched(partition=1), fetched(partition=2)
    for each in (full, fetched(), fetched(), far, fetched(partition=1, offset=75), empty):
        limit.acquire(each)

    assert [limit.is_blocking(each) for each in (full, far, empty)] == [True, True, False]


async def test_the_backlog_says_what_is_stuck() -> None:
    """How old the oldest record is, how many are older than they should be, and where they are."""
    context = BridgeContext(BridgeOptions(stuck_after=30.0), Clocks(monotonic=lambda: 100.0))
    limit = InFlightLimit(context)
    old = [fetched(since=10.0), fetched(since=70.0, partition=1)]
    for each in (*old, fetched(since=71.0)):
        limit.acquire(each)
    before = limit.backlog()
    limit.release(old[0])

    assert (before.oldest_age, before.stuck, before.by_partition) == (90.0, 2, {0: 2, 1: 1})
    assert limit.backlog().oldest_age == 30.0


async def test_drained_waits_for_the_last_one() -> None:
    """A drain ends when nothing is in flight."""
    limit = limit_of()
    last = fetched()
    limit.acquire(last)
    waiting = asyncio.ensure_future(limit.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    limit.release(last)
    await asyncio.wait_for(waiting, 60)
