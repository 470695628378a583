"""The number under way follows what Restate can take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kallback.bridge import Accepted, Backoff, BridgeOptions, Completion, FunctionCompleter, Reply, Retry
from kallback.bridge.completers.base import Answered
from kallback.testing.polling import eventually

QUICK = Backoff(first=0.001, longest=0.01)
CROWDED = Retry("429", "busy", overloaded=True)


async def test_a_crowd_lowers_the_concurrency_and_successes_raise_it(world: Any, mint: Any) -> None:
    """Down at once, up again to what is configured; the gauge shows both."""
    world.reply = lambda _: CROWDED
    world.broker.append(mint.completed())
    options = BridgeOptions(backoff=QUICK, concurrency=16)
    async with world.bridge(options) as bridge:
        assert bridge.stats.concurrency == 16
        await eventually("the decrease", lambda: bridge.stats.concurrency <= 8, interval=0.001)
        world.reply = lambda _: Accepted()
        for _ in range(500):
            world.broker.append(mint.completed())
        await world.settle(501)
        assert bridge.stats.concurrency == 16


@pytest.mark.parametrize("reply", [Retry("unreachable", "reset"), Retry("defect", "oops")])
async def test_what_is_no_crowd_does_not(world: Any, mint: Any, reply: Retry) -> None:
    """A connection that broke says nothing of how many there may be."""
    replies = iter([reply, reply])
    world.reply = lambda _: next(replies, Accepted())
    for _ in range(3):
        world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(backoff=QUICK, concurrency=16)) as bridge:
        await world.settle(3)
        assert bridge.stats.concurrency == 16


async def test_no_more_are_under_way_than_the_crowd_allows(world: Any, mint: Any) -> None:
    """After decreases to one, one at a time."""
    world.reply = lambda _: CROWDED
    world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(backoff=QUICK, concurrency=16, drain_timeout=0.0)) as bridge:
        await eventually("the floor", lambda: bridge._dispatcher._limiter.limit <= 4, interval=0.001)
        bridge._dispatcher._limiter.limit = 1
        world.posted.clear()
        world.hold.clear()
        for _ in range(10):
            world.broker.append(mint.completed())
        await eventually("the fetch", lambda: bridge.stats.fetched == 11, interval=0.002)
        assert len(world.posted) <= 1


async def test_the_completer_bounds_the_sends(world: Any, mint: Any) -> None:
    """However large the configured number is: a batching completer wants few."""
    world.hold.clear()
    for _ in range(200):
        world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(concurrency=500, drain_timeout=0.0)) as bridge:
        await eventually("the fetch", lambda: bridge.stats.fetched == 200, interval=0.002)
        await eventually("the posts", lambda: len(world.posted) == 64, interval=0.002)
        assert bridge.stats.concurrency == 64


async def test_a_fetch_becomes_one_batch(world: Any, mint: Any) -> None:
    """The first batch holds all that came with the first record, and waits for nothing else."""
    batches: list[int] = []

    class Batching(FunctionCompleter):
        async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
            batches.append(len(batch))
            return [Accepted() for _ in batch]

    world.completer = Batching(world.complete, batch_limit=500)
    for _ in range(100):
        world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(fetch_limit=100)):
        await world.settle(100)
    assert batches == [100]


async def test_a_completer_that_raises_loses_nothing(world: Any, mint: Any) -> None:
    """A defect is a retry, like any other reply that is no reply."""
    attempts: list[int] = []

    class Raising(FunctionCompleter):
        def send(self, batch: Sequence[Completion], answered: Answered) -> None:
            attempts.append(len(batch))
            if len(attempts) < 3:
                raise RuntimeError("oops")
            super().send(batch, answered)

    world.completer = Raising(world.complete)
    world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(backoff=QUICK)) as bridge:
        await world.settle(1)
        assert bridge.stats.replies == {"defect": 2, "202": 1}
