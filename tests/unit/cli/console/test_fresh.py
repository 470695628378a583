"""A value that is read once for many."""

from __future__ import annotations

import asyncio

import pytest

from kallback.cli.console.fresh import FreshValue


async def test_requests_that_come_during_a_reading_share_it() -> None:
    """However many there are."""
    reads, go = list[int](), asyncio.Event()

    async def read() -> int:
        reads.append(1)
        await go.wait()
        return len(reads)

    value = FreshValue(read, 5.0, lambda: 0.0)
    waiting = [asyncio.create_task(value.get()) for _ in range(50)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*waiting) == [1] * 50


async def test_it_is_read_again_when_it_is_no_longer_fresh() -> None:
    """By the clock that it was given."""
    times, reads = iter([0.0, 0.0, 4.9, 5.0, 5.0]), list[int]()  # a reading looks at the clock before and after

    async def read() -> int:
        reads.append(1)
        return len(reads)

    value = FreshValue(read, 5.0, lambda: next(times))
    assert [await value.get() for _ in range(3)] == [1, 1, 2]


async def test_an_error_is_not_kept() -> None:
    """The next request reads again."""
    failures = [ValueError("away")]

    async def read() -> str:
        if failures:
            raise failures.pop()
        return "read"

    value = FreshValue(read, 5.0, lambda: 0.0)
    with pytest.raises(ValueError, match="away"):
        await value.get()
    assert await value.get() == "read"


async def test_what_took_long_to_read_is_shown_for_longer() -> None:
    """Reading takes a fortieth of the time at most: 3 of 120 seconds."""
    now, reads = 0.0, list[float]()

    async def read() -> float:
        nonlocal now
        reads.append(now)
        now += 3
        return now

    value = FreshValue(read, 5, lambda: now)
    while now < 250:
        await value.get()
        now += 1

    assert reads == [0.0, 120.0, 240.0]


async def test_a_clock_that_is_set_back_does_not_keep_what_was_read() -> None:
    """An hour back: the pages would stand still for an hour."""
    now, reads = 7200.0, list[float]()

    async def read() -> float:
        reads.append(now)
        return now

    value = FreshValue(read, 5, lambda: now)
    await value.get()
    now = 3600.0
    assert await value.get() == 3600.0
    assert await value.get() == 3600.0
    assert reads == [7200.0, 3600.0]


async def test_what_is_forgotten_is_read_again_even_if_it_is_being_read() -> None:
    """A change came after the reading began."""
    reads, go = list[int](), asyncio.Event()

    async def read() -> int:
        reads.append(1)
        number = len(reads)
        await go.wait()
        return number

    value = FreshValue(read, 5.0, lambda: 0.0)
    first = asyncio.create_task(value.get())
    await asyncio.sleep(0)
    value.forget()
    go.set()
    assert (await first, await value.get(), await value.get()) == (1, 2, 2)


async def test_a_value_that_tells_of_a_failure_is_read_again_soon_however_long_it_took() -> None:
    """The server may be back; half a minute of waiting for it is no reason to tell of it for twenty."""
    times, values = iter([0.0, 30.0, 34.9, 35.0, 35.0]), iter(["failure", "value"])

    async def read() -> str:
        return next(values)

    value = FreshValue(read, 5.0, lambda: next(times), has_failed=lambda each: each == "failure")
    assert [await value.get() for _ in range(3)] == ["failure", "failure", "value"]
