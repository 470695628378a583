"""Components that are stopped within one bound."""

from __future__ import annotations

import asyncio

from kallback.lifecycle import StopDeadline
from kallback.settings import named_log
from kallback.testing.log_capture import capture_logs

LOG = named_log("kallback.test")


async def hang() -> None:
    """Never end by itself."""
    await asyncio.Event().wait()


async def fail() -> None:
    """Raise."""
    raise RuntimeError("a defect")


async def test_a_component_that_hangs_is_left_behind_and_named() -> None:
    """The others must stop, too."""
    deadline = StopDeadline("owner", 0.01, LOG)
    with capture_logs() as lines:
        stopped = await asyncio.wait_for(deadline.stop("part", hang), 60)
    assert (stopped, [line["part"] for line in lines]) == (False, ["part"])


async def test_an_error_is_logged_and_passes() -> None:
    """It is no reason to leave the others running."""
    deadline = StopDeadline("owner", 5, LOG)
    with capture_logs() as lines:
        stopped = await deadline.stop("part", fail)
    assert (stopped, "a defect" in lines[0]["reason"]) == (False, True)


async def test_the_bound_is_for_all_together() -> None:
    """Many that hang take as long as one, and a moment for each."""
    deadline = StopDeadline("owner", 60, LOG)
    first = deadline.remaining
    await asyncio.sleep(0.01)
    assert 0 < deadline.remaining < first <= 60


async def test_a_cancelled_stop_cancels_the_component() -> None:
    """Nothing is left running that nobody waits for."""
    cancelled = asyncio.Event()

    async def stop() -> None:
        try:
            await hang()
        finally:
            cancelled.set()

    stopping = asyncio.create_task(StopDeadline("owner", 60, LOG).stop("part", stop), name="stopping")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait_for(cancelled.wait(), 60)


async def test_a_bound_is_extended_by_what_a_drain_took() -> None:
    """A drain has a bound of its own; the components after it keep theirs."""
    deadline = StopDeadline("owner", 10, LOG)
    deadline.extend(90)
    assert 90 < deadline.remaining <= 100


async def test_a_cancelled_stop_lets_its_component_clean_up() -> None:
    """It is cancelled, too, and gets a moment."""
    cleaned, begun = asyncio.Event(), asyncio.Event()

    async def stop() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    stopping = asyncio.create_task(StopDeadline("owner", 60, LOG).stop("part", stop))
    await begun.wait()
    stopping.cancel()
    await asyncio.wait({stopping})
    assert (stopping.cancelled(), cleaned.is_set()) == (True, True)
