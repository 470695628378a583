"""What natural Python does in a handler: refused at once, or it works, twenty times of twenty."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import restate
from tests.integration.sdk.environment import Order, SdkEnv

from kallback.protocol import Attempt, Completed, seal
from kallback.sdk import TaskAwakeable
from kallback.testing import RestateError, eventually

pytestmark = pytest.mark.integration

TIMES = 20


def handlers(env: SdkEnv) -> list[Callable[..., Any]]:
    """Each in its own way of doing many things at once."""

    def call(ctx: restate.Context, dish: str) -> Any:
        return env.callbacks.call(ctx, env.prepare, Order(dish))

    async def gathered(ctx: restate.Context) -> None:
        await asyncio.gather(*(call(ctx, dish) for dish in "abc"))

    async def grouped(ctx: restate.Context) -> None:
        async with asyncio.TaskGroup() as group:
            for dish in "abc":
                group.create_task(call(ctx, dish))

    async def in_a_step(ctx: restate.Context) -> None:
        async def step() -> None:
            await call(ctx, "a")

        await ctx.run_typed("step", step)

    async def limited(ctx: restate.Context) -> None:
        await asyncio.wait_for(call(ctx, "a"), 60)

    async def created(ctx: restate.Context) -> None:
        task = asyncio.create_task(call(ctx, "a"))
        await ctx.sleep(timedelta(minutes=1))
        await task

    return [gathered, grouped, in_a_step, limited, created]


async def test_what_could_hang_ends_with_the_remedy(env: SdkEnv) -> None:
    """A terminal error at once, each time: Restate does not retry it."""
    async with env.serving(*handlers(env)) as service, asyncio.timeout(100):
        for handler in handlers(env):
            for _ in range(TIMES):
                with pytest.raises(RestateError, match=r"callbacks\.start_many and callbacks\.gather"):
                    await env.ingress.call(f"{service}/{handler.__name__}")


async def test_results_of_started_tasks_may_be_gathered(env: SdkEnv) -> None:
    """The waits take turns, so each sees its result."""

    async def run(ctx: restate.Context) -> list[str]:
        handles = [await env.callbacks.start(ctx, env.prepare, Order(str(n))) for n in range(5)]
        return [it.shelf for it in await asyncio.gather(*(handle.result() for handle in handles))]

    async with env.serving(run) as service:
        for _ in range(TIMES):
            invocation = await env.ingress.send(f"{service}/run")
            tasks = [await env.task() for _ in range(5)]
            await asyncio.gather(*(env.complete(task, b'{"shelf": "B3"}') for task in reversed(tasks)))
            async with asyncio.timeout(60):
                assert await env.ingress.attach(invocation) == ["B3"] * 5


async def test_answers_of_awakeables_may_be_gathered(env: SdkEnv) -> None:
    """Several people are asked, and answer at once."""
    asked = dict[str, list[TaskAwakeable[Any]]]()

    async def run(ctx: restate.Context) -> list[str]:
        waiting = asked[ctx.request().id] = [await env.callbacks.awakeable(ctx, env.prepare) for _ in range(5)]
        return [it.shelf for it in await asyncio.gather(*(each.result() for each in waiting))]

    async with env.serving(run) as service:
        for _ in range(TIMES):
            invocation = await env.ingress.send(f"{service}/run")
            await eventually("five awakeables", partial(asked.__contains__, invocation))
            answer = Completed(b'{"shelf": "B3"}')
            posts = [
                env.post_to(each.id, seal(each.task_id, Attempt(1), answer)) for each in reversed(asked[invocation])
            ]
            await asyncio.gather(*posts)
            async with asyncio.timeout(60):
                assert await env.ingress.attach(invocation) == ["B3"] * 5
