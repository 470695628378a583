"""The same with a handler that suspends at each wait: every step is replayed, and must be taken again as it was."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import restate
from tests.integration.sdk.environment import Order, SdkEnv
from tests.integration.sdk.long_tasks.bridge import SimulatedBridge

from kallback.protocol import Problem, RetryPolicy, TaskHeaders
from kallback.sdk import TaskError
from kallback.testing import eventually

pytestmark = pytest.mark.integration

SOON = RetryPolicy(attempts=4, first_delay=timedelta(milliseconds=20))
BROKEN = Problem("OvenBroken", 503, "no gas")


@asynccontextmanager
async def sleepy(env: SdkEnv, handler: Any, entries: list[int]) -> AsyncGenerator[str]:
    """Serve a handler that suspends whenever it waits, and start it; yields the invocation."""
    service = restate.Service(f"Sleepy{uuid4().hex[:8]}", inactivity_timeout=timedelta(milliseconds=1))

    @service.handler()
    async def run(ctx: restate.Context) -> Any:
        entries.append(1)
        return await handler(ctx)

    async with env.serving_app(service):
        yield await env.ingress.send(f"{service.name}/run")


async def suspended(env: SdkEnv, invocation: str) -> None:
    """Wait until it holds nothing."""

    async def probe() -> bool:
        row = await env.admin.invocation(invocation)
        return row is not None and row["status"] == "suspended"

    await eventually("a suspended invocation", probe)


async def test_attempts_are_replayed_as_they_were(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """A failure, a timeout, a result: three attempts, each of them replayed several times."""
    kind = env.limited(retry=SOON, heartbeat_every=timedelta(seconds=30), attempt_timeout=timedelta(seconds=1))
    entries = list[int]()

    async def run(ctx: restate.Context) -> list[Any]:
        handle = await env.callbacks.start(ctx, kind, Order("x"))
        prepared = await handle.result()
        return [prepared.shelf, handle.attempt, handle.task_id]

    async with sleepy(env, run, entries) as invocation:
        first = await env.task()
        await suspended(env, invocation)
        await env.fail(first, BROKEN)
        second = await env.task()
        await bridge.hears(second, details=b"[1]")
        third = await env.task()
        await suspended(env, invocation)
        await env.complete(second, b'{"shelf": "old"}')
        await env.complete(third, b'{"shelf": "B3"}')
        got = await env.ingress.attach(invocation)
    assert got == ["B3", 3, TaskHeaders.decode(first.headers).task_id]
    assert TaskHeaders.decode(third.headers).last_details == b"[1]"
    assert len(entries) >= 5


@pytest.mark.parametrize("completed", [True, False])
async def test_a_cancelled_task_is_replayed_as_it_was(env: SdkEnv, completed: bool) -> None:  # noqa: FBT001
    """With a result that was there before and kept, and without one."""
    entries = list[int]()

    async def run(ctx: restate.Context) -> str:
        handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
        await ctx.sleep(timedelta(seconds=1.5))
        await handle.cancel()
        await ctx.sleep(timedelta(seconds=0.3))
        try:
            return (await handle.result()).shelf
        except TaskError as error:
            return type(error).__name__

    async with sleepy(env, run, entries) as invocation:
        task = await env.task()
        await suspended(env, invocation)
        if completed:
            await env.complete(task, b'{"shelf": "B3"}')
        assert await env.ingress.attach(invocation) == ("B3" if completed else "TaskCancelled")
        if completed:
            assert await env.has_no_cancel()
        else:
            await env.cancel_record()
    assert len(entries) >= 3


@pytest.mark.parametrize("collect", ["all", "each", "first"])
async def test_many_tasks_are_replayed_as_they_were(env: SdkEnv, collect: str) -> None:
    """Retries, errors and cancels of several tasks, with a replay between any two of them."""
    kind, entries = env.limited(retry=SOON), list[int]()

    async def run(ctx: restate.Context) -> list[Any]:
        handles = await env.callbacks.start_many(ctx, kind, [Order(str(n)) for n in range(4)])
        if collect == "first":
            return [it.shelf for it in await env.callbacks.first(handles, 2)]
        if collect == "all":
            return [it.shelf for it in await env.callbacks.gather(handles)]
        results = await env.callbacks.gather(handles, partial=True)
        return [it.type if isinstance(it, TaskError) else it.shelf for it in results]

    async with sleepy(env, run, entries) as invocation:
        tasks = [await env.task() for _ in range(4)]
        for task in tasks[:2]:
            await suspended(env, invocation)
            await env.fail(task, BROKEN)
        tasks[:2] = [await env.task() for _ in range(2)]
        for task in tasks[:1] if collect == "each" else []:
            await suspended(env, invocation)
            await env.fail(task, Problem("OutOfStock", 422))
        for task in tasks[1:3] if collect == "first" else tasks:
            await suspended_or_done(env, invocation)
            await env.complete(task, b'{"shelf": "B3"}')
        got = await env.ingress.attach(invocation)
    assert sorted(got) == sorted(
        {"each": ["OutOfStock"]}.get(collect, []) + ["B3"] * {"first": 2, "each": 3}.get(collect, 4)
    )
    assert len(entries) >= 5


async def suspended_or_done(env: SdkEnv, invocation: str) -> None:
    """The same, where the handler may be through already."""

    async def probe() -> bool:
        row = await env.admin.invocation(invocation)
        return row is not None and row["status"] in {"suspended", "completed"}

    await eventually("a suspended invocation", probe)
