"""Cancels on a real Kafka: running, overtaking, and workers that join later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.workers.conftest import KafkaBench

pytestmark = pytest.mark.integration


async def test_a_cancel_reaches_the_running_task(bench: KafkaBench) -> None:
    """The coroutine is interrupted, nothing is published, and the next task is done."""
    worker = bench.worker(concurrency=1)
    begun, interrupted = asyncio.Event(), asyncio.Event()

    @worker.task(bench.prepare)
    async def cook(dish: str) -> str:
        if dish == "t1":
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                interrupted.set()
                raise
        return dish

    await bench.send("t1")
    await bench.send("t2")
    async with worker:
        await asyncio.wait_for(begun.wait(), 30)
        await bench.cancel("t1")
        assert await bench.results(1) == ["t2"]

    assert interrupted.is_set()


async def test_a_cancel_may_overtake_its_task(bench: KafkaBench) -> None:
    """A cancel that came while the worker was running is remembered until the task comes."""
    worker = bench.worker(concurrency=1)
    begun = asyncio.Event()

    @worker.task(bench.prepare)
    async def cook(dish: str) -> str:
        if dish == "marker":
            begun.set()
            await asyncio.Event().wait()
        return dish

    await bench.send("marker")
    async with worker:
        await asyncio.wait_for(begun.wait(), 30)
        await bench.send("t1")
        await bench.send("t2")
        await bench.cancel("t1")
        await bench.cancel("marker")  # ends the running one, so the cancel of t1 is known before t1 is looked at
        assert await bench.results(1) == ["t2"]

    assert (worker.counts.cancelled, worker.counts.skipped_cancelled) == (1, 1)


async def test_a_worker_that_joins_later_skips_what_was_cancelled(bench: KafkaBench) -> None:
    """All partitions of the control topic are read to their ends before the first task is looked at."""
    for number in range(20):
        await bench.send(f"t{number:02}")
        await bench.cancel(f"t{number:02}")
    await bench.send("good")
    worker = bench.worker()
    done = bench.cook(worker)

    async with worker:
        assert await bench.results(1) == ["good"]

    assert done == ["good"]
