"""Several tasks at once, with Restate's own combinators."""

from __future__ import annotations

from typing import Any

import pytest
import restate
from tests.integration.sdk.environment import Order, SdkEnv

from kallback.protocol import Problem

pytestmark = pytest.mark.integration


async def by_dish(env: SdkEnv, count: int) -> dict[str, Any]:
    """The next tasks, by what they ask for."""
    tasks = [await env.task() for _ in range(count)]
    return {env.prepare.request_codec.decode(task.value or b"").dish: task for task in tasks}


async def test_select_hands_out_the_first(env: SdkEnv) -> None:
    """`restate.select` on two futures returns the name and the typed value of the first."""

    async def run(ctx: restate.Context) -> list[str]:
        soup = await env.callbacks.start(ctx, env.prepare, Order("soup"))
        cake = await env.callbacks.start(ctx, env.prepare, Order("cake"))
        name, prepared = await restate.select(soup=soup.future, cake=cake.future)
        return [name, prepared.shelf]

    async with env.invoked(run) as invocation:
        tasks = await by_dish(env, 2)
        await env.complete(tasks["cake"], b'{"shelf": "B3"}')
        assert await invocation.result() == ["cake", "B3"]


async def test_select_raises_the_typed_error(env: SdkEnv) -> None:
    """A failed future raises `TaskFailed` out of `select`, and again when awaited."""

    async def run(ctx: restate.Context) -> list[dict[str, Any]]:
        soup = await env.callbacks.start(ctx, env.prepare, Order("soup"))
        return [await env.outcome(restate.select(soup=soup.future)), await env.outcome(soup.future)]

    async with env.invoked(run) as invocation:
        await env.fail(await env.task(), Problem("OutOfStock", 422, "no basil"))
        first, second = await invocation.result()
    assert (first["kind"], first["code"], first["type"]) == ("TaskFailed", 422, "OutOfStock")
    assert first == second


async def test_gather_waits_for_all(env: SdkEnv) -> None:
    """`restate.gather` on futures, then each `result()` at once."""

    async def run(ctx: restate.Context) -> list[Any]:
        handles = [await env.callbacks.start(ctx, env.prepare, Order(str(each))) for each in range(5)]
        await restate.gather(*[handle.future for handle in handles])
        return [(await handle.result()).shelf for handle in handles]

    async with env.invoked(run) as invocation:
        tasks = await by_dish(env, 5)
        for dish in sorted(tasks, reverse=True):
            await env.complete(tasks[dish], b'{"shelf": "%s"}' % dish.encode())
        assert await invocation.result() == ["0", "1", "2", "3", "4"]


async def test_results_can_be_had_twice(env: SdkEnv) -> None:
    """`result()` after `result()` is the same value."""

    async def run(ctx: restate.Context) -> list[str]:
        handle = await env.callbacks.start(ctx, env.prepare, Order("soup"))
        return [(await handle.result()).shelf, (await handle.result()).shelf]

    async with env.invoked(run) as invocation:
        await env.complete(await env.task(), b'{"shelf": "B3"}')
        assert await invocation.result() == ["B3", "B3"]


async def test_a_keyed_object_can_have_work_done(env: SdkEnv) -> None:
    """`call` takes the context of a virtual object; another key is not blocked meanwhile."""
    table = restate.VirtualObject(f"Table{env.prepare.name.rpartition('.')[2]}")

    @table.handler()
    async def run(ctx: restate.ObjectContext) -> str:
        prepared = await env.callbacks.call(ctx, env.prepare, Order(ctx.key()))
        return f"{ctx.key()}: {prepared.shelf}"

    async with env.serving_app(table):
        first, second = [await env.ingress.send(f"{table.name}/{key}/run") for key in ("one", "two")]
        tasks = await by_dish(env, 2)
        for dish in ("two", "one"):
            await env.complete(tasks[dish], b'{"shelf": "B3"}')
        assert await env.ingress.attach(second) == "two: B3"
        assert await env.ingress.attach(first) == "one: B3"
