"""The bound on what is in flight."""

from __future__ import annotations

import asyncio

from kallback.bridge import BridgeOptions
from kallback.bridge.room import Room
from kallback.bridge.shared import Shared


def room(**options: int) -> Room:
    """A room with these bounds."""
    return Room(Shared(BridgeOptions(**options)))  # type: ignore[arg-type] # counts only


async def is_open(subject: Room) -> bool:
    """Whether one could come in now."""
    waiting = asyncio.ensure_future(subject.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    return waiting.done() and not waiting.cancelled()


async def test_full_of_records() -> None:
    """Full at the bound, open again at three quarters."""
    subject = room(max_in_flight=4)
    for _ in range(4):
        subject.enter(1)
    full = await is_open(subject)
    subject.leave(1)

    assert (full, await is_open(subject)) == (False, True)


async def test_full_of_bytes() -> None:
    """A few large values fill it too."""
    subject = room(max_in_flight_bytes=100)
    subject.enter(100)
    full = await is_open(subject)
    subject.leave(100)

    assert (full, await is_open(subject)) == (False, True)


async def test_it_says_how_many_may_come_in() -> None:
    """A fetch never overfills it."""
    subject = room(max_in_flight=10, fetch_limit=8)
    first = await subject.wait()
    for _ in range(7):
        subject.enter(0)
    assert (first, await subject.wait()) == (8, 3)


async def test_narrowed_it_lets_in_what_senders_can_probe_with() -> None:
    """While Restate is away, next to nothing more is fetched."""
    subject = room(max_in_flight=1000, concurrency=4)
    for _ in range(4):
        subject.enter(0)
    subject.narrow()
    narrow = await is_open(subject)
    subject.widen()

    assert (narrow, await is_open(subject)) == (False, True)


async def test_emptied_waits_for_the_last_one() -> None:
    """A drain ends when nothing is in flight."""
    subject = room()
    subject.enter(0)
    waiting = asyncio.ensure_future(subject.emptied())
    await asyncio.sleep(0)
    assert not waiting.done()
    subject.leave(0)
    await asyncio.wait_for(waiting, 1)
