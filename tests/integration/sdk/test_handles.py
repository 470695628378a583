"""Several tasks at once, with Restate's own combinators."""

from __future__ import annotations

from typing import Any

import pytest
import restate

from kallback.protocol import Problem

pytestmark = pytest.mark.integration


async def by_dish(world: Any, count: int) -> dict[str, Any]:
    """The next tasks, by what they ask for."""
    tasks = [await world.task() for _ in range(count)]
    return {world.prepare.request_codec.decode(task.value).dish: task for task in tasks}


async def test_select_hands_out_the_first(world: Any) -> None:
    """`restate.select` on two futures returns the name and the typed value of the first."""

    async def run(ctx: restate.Context) -> list[str]:
        soup = await world.callbacks.start(ctx, world.prepare, world.Order("soup"))
        cake = await world.callbacks.start(ctx, world.prepare, world.Order("cake"))
        name, prepared = await restate.select(soup=soup.future, cake=cake.future)
        return [name, prepared.shelf]

    async with world.invoked(run) as invocation:
        tasks = await by_dish(world, 2)
        await world.complete(tasks["cake"], b'{"shelf": "B3"}')
        assert await invocation.result() == ["cake", "B3"]


async def test_select_raises_the_typed_error(world: Any) -> None:
    """A failed future raises `TaskFailed` out of `select`, and again when awaited."""

    async def run(ctx: restate.Context) -> list[dict[str, Any]]:
        soup = await world.callbacks.start(ctx, world.prepare, world.Order("soup"))
        return [await world.outcome(restate.select(soup=soup.future)), await world.outcome(soup.future)]

    async with world.invoked(run) as invocation:
        await world.fail(await world.task(), Problem("OutOfStock", 422, "no basil"))
        first, second = await invocation.result()
    assert (first["kind"], first["code"], first["type"]) == ("TaskFailed", 422, "OutOfStock")
    assert first == second


async def test_gather_waits_for_all(world: Any) -> None:
    """`restate.gather` on futures, then each `result()` at once."""

    async def run(ctx: restate.Context) -> list[Any]:
        handles = [await world.callbacks.start(ctx, world.prepare, world.Order(str(each))) for each in range(5)]
        await restate.gather(*[handle.future for handle in handles])
        return [(await handle.result()).shelf for handle in handles]

    async with world.invoked(run) as invocation:
        tasks = await by_dish(world, 5)
        for dish in sorted(tasks, reverse=True):
            await world.complete(tasks[dish], b'{"shelf": "%s"}' % dish.encode())
        assert await invocation.result() == ["0", "1", "2", "3", "4"]


async def test_results_can_be_had_twice(world: Any) -> None:
    """`result()` after `result()` is the same value."""

    async def run(ctx: restate.Context) -> list[str]:
        handle = await world.callbacks.start(ctx, world.prepare, world.Order("soup"))
        return [(await handle.result()).shelf, (await handle.result()).shelf]

    async with world.invoked(run) as invocation:
        await world.complete(await world.task(), b'{"shelf": "B3"}')
        assert await invocation.result() == ["B3", "B3"]


async def test_a_keyed_object_can_have_work_done(world: Any) -> None:
    """`call` takes the context of a virtual object; another key is not blocked meanwhile."""
    table = restate.VirtualObject(f"Table{world.prepare.name.rpartition('.')[2]}")

    @table.handler()
    async def run(ctx: restate.ObjectContext) -> str:
        prepared = await world.callbacks.call(ctx, world.prepare, world.Order(ctx.key()))
        return f"{ctx.key()}: {prepared.shelf}"

    async with world.serving_app(table):
        first, second = [await world.ingress.send(f"{table.name}/{key}/run") for key in ("one", "two")]
        tasks = await by_dish(world, 2)
        for dish in ("two", "one"):
            await world.complete(tasks[dish], b'{"shelf": "B3"}')
        assert await world.ingress.attach(second) == "two: B3"
        assert await world.ingress.attach(first) == "one: B3"
