"""The same with a handler that suspends at each wait: every step is replayed, and must be taken again as it was."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import restate

from kallback.protocol import Problem, RetryPolicy, TaskHeaders
from kallback.sdk import TaskError
from kallback.testing import eventually

pytestmark = pytest.mark.integration

SOON = RetryPolicy(attempts=4, first_delay=timedelta(milliseconds=20))
BROKEN = Problem("OvenBroken", 503, "no gas")


@asynccontextmanager
async def sleepy(world: Any, handler: Any, entries: list[int]) -> AsyncGenerator[str]:
    """Serve a handler that suspends whenever it waits, and start it; yields the invocation."""
    service = restate.Service(f"Sleepy{uuid4().hex[:8]}", inactivity_timeout=timedelta(milliseconds=1))

    @service.handler()
    async def run(ctx: restate.Context) -> Any:
        entries.append(1)
        return await handler(ctx)

    async with world.serving_app(service):
        yield await world.ingress.send(f"{service.name}/run")


async def suspended(world: Any, invocation: str) -> None:
    """Wait until it holds nothing."""

    async def probe() -> bool:
        row = await world.admin.invocation(invocation)
        return bool(row) and row["status"] == "suspended"

    await eventually("a suspended invocation", probe)


async def test_attempts_are_replayed_as_they_were(world: Any, bridge: Any) -> None:
    """A failure, a timeout, a result: three attempts, each of them replayed several times."""
    kind, entries = (
        world.kind(retry=SOON, heartbeat_every=timedelta(seconds=30), attempt_timeout=timedelta(seconds=1)),
        [],
    )

    async def run(ctx: restate.Context) -> list[Any]:
        handle = await world.callbacks.start(ctx, kind, world.Order("x"))
        prepared = await handle.result()
        return [prepared.shelf, handle.attempt, handle.task_id]

    async with sleepy(world, run, entries) as invocation:
        first = await world.task()
        await suspended(world, invocation)
        await world.fail(first, BROKEN)
        second = await world.task()
        await bridge.hears(second, details=b"[1]")
        third = await world.task()
        await suspended(world, invocation)
        await world.complete(second, b'{"shelf": "old"}')
        await world.complete(third, b'{"shelf": "B3"}')
        got = await world.ingress.attach(invocation)
    assert got == ["B3", 3, TaskHeaders.decode(first.headers).task_id]
    assert TaskHeaders.decode(third.headers).last_details == b"[1]"
    assert len(entries) >= 5


@pytest.mark.parametrize("collect", ["all", "each", "first"])
async def test_many_tasks_are_replayed_as_they_were(world: Any, collect: str) -> None:
    """Retries, errors and cancels of several tasks, with a replay between any two of them."""
    kind, entries = world.kind(retry=SOON), list[int]()

    async def run(ctx: restate.Context) -> list[Any]:
        handles = await world.callbacks.start_many(ctx, kind, [world.Order(str(n)) for n in range(4)])
        if collect == "first":
            return [it.shelf for it in await world.callbacks.first(handles, 2)]
        if collect == "all":
            return [it.shelf for it in await world.callbacks.gather(handles)]
        results = await world.callbacks.gather(handles, partial=True)
        return [it.type if isinstance(it, TaskError) else it.shelf for it in results]

    async with sleepy(world, run, entries) as invocation:
        tasks = [await world.task() for _ in range(4)]
        for task in tasks[:2]:
            await suspended(world, invocation)
            await world.fail(task, BROKEN)
        tasks[:2] = [await world.task() for _ in range(2)]
        for task in tasks[:1] if collect == "each" else []:
            await suspended(world, invocation)
            await world.fail(task, Problem("OutOfStock", 422))
        for task in tasks[1:3] if collect == "first" else tasks:
            await suspended_or_done(world, invocation)
            await world.complete(task, b'{"shelf": "B3"}')
        got = await world.ingress.attach(invocation)
    assert sorted(got) == sorted(
        {"each": ["OutOfStock"]}.get(collect, []) + ["B3"] * {"first": 2, "each": 3}.get(collect, 4)
    )
    assert len(entries) >= 5


async def suspended_or_done(world: Any, invocation: str) -> None:
    """The same, where the handler may be through already."""

    async def probe() -> bool:
        row = await world.admin.invocation(invocation)
        return bool(row) and row["status"] in {"suspended", "completed"}

    await eventually("a suspended invocation", probe)
