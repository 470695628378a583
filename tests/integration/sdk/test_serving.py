"""A served application and a real Restate, over the connections that Restate keeps open."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
import restate
from tests.integration.sdk.environment import SdkEnv

from kallback.testing import eventually

pytestmark = pytest.mark.integration

AT_ONCE = 40


async def test_each_of_1100_calls_starts_its_handler_once(env: SdkEnv) -> None:
    """No connection is closed under open handlers, and none waits long enough to be suspended and resumed."""
    started = Counter[str]()
    service = restate.Service(f"Served{uuid4().hex[:8]}", inactivity_timeout=timedelta(minutes=1))

    @service.handler()
    async def run(ctx: restate.Context) -> None:
        started[ctx.request().id] += 1
        await ctx.run_typed("step", step)

    async def step() -> None:
        await asyncio.sleep(0)

    async def caller() -> None:
        for _ in range(1_100 // AT_ONCE + 1):
            await env.ingress.call(f"{service.name}/run")

    async with env.serving_app(service):
        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    assert len(started) >= 1_100
    assert {invocation: times for invocation, times in started.items() if times > 1} == {}


async def test_the_service_answers_after_2000_killed_invocations(env: SdkEnv) -> None:
    """Each kill resets a stream; none of them keeps anything on the connection."""
    waiting = 0

    async def wait(ctx: restate.Context) -> None:
        nonlocal waiting
        waiting += 1
        await ctx.awakeable()[1]

    async def answer(_ctx: restate.Context) -> str:
        return "done"

    def has_started(count: int) -> bool:
        return waiting >= count

    async with env.serving(wait, answer) as service:
        killed = 0
        while killed < 2_000:
            batch = await asyncio.gather(*(env.ingress.send(f"{service}/wait") for _ in range(AT_ONCE)))
            killed += len(batch)
            await eventually(f"{killed} handlers", functools.partial(has_started, killed))
            await asyncio.gather(*(env.admin.kill(invocation) for invocation in batch))
        async with asyncio.timeout(60):
            assert await env.ingress.call(f"{service}/answer") == "done"
