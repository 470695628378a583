"""A served application and a real Restate, over the connections that Restate keeps open."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
import restate

from kallback.testing import eventually

pytestmark = pytest.mark.integration

AT_ONCE = 40


async def test_each_of_1100_calls_starts_its_handler_once(world: Any) -> None:
    """No connection is closed under open handlers, so Restate has no reason to start one again."""
    started = Counter[str]()

    async def run(ctx: restate.Context) -> None:
        started[ctx.request().id] += 1
        await ctx.run_typed("step", step)

    async def step() -> None:
        await asyncio.sleep(0)

    async with world.serving(run) as service:

        async def caller() -> None:
            for _ in range(1_100 // AT_ONCE + 1):
                await world.ingress.call(f"{service}/run")

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    assert len(started) >= 1_100
    assert {invocation: times for invocation, times in started.items() if times > 1} == {}


@pytest.mark.timeout(300)
async def test_the_service_answers_after_2000_killed_invocations(world: Any) -> None:
    """Each kill resets a stream; none of them keeps anything on the connection."""
    waiting = 0

    async def wait(ctx: restate.Context) -> None:
        nonlocal waiting
        waiting += 1
        await ctx.awakeable()[1]

    async def answer(_ctx: restate.Context) -> str:
        return "done"

    async with world.serving(wait, answer) as service:
        killed = 0
        while killed < 2_000:
            batch = await asyncio.gather(*(world.ingress.send(f"{service}/wait") for _ in range(AT_ONCE)))
            killed += len(batch)
            await eventually(f"{killed} handlers", lambda expected=killed: waiting >= expected)
            await asyncio.gather(*(world.admin.kill(invocation) for invocation in batch))
        async with asyncio.timeout(10):
            assert await world.ingress.call(f"{service}/answer") == "done"
