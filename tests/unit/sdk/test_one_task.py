"""Other asyncio tasks than the handler's: refused at once, or taking turns."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import restate

from kallback.protocol import TaskType
from kallback.sdk import Callbacks
from kallback.testing import HandlerTest

PREPARE = TaskType("prepare", request=str, result=str, timeout=timedelta(hours=1))
Natural = Callable[[restate.Context, Callbacks], Awaitable[Any]]


@pytest.fixture(autouse=True)
def abandoned_tasks() -> Iterator[None]:
    """Tasks that a handler never awaits are reported when they are collected: here, not in the middle of another test.

    The report writes a traceback, which parses code. Where Python 3.11 parses code already, that is a `SystemError`.
    """
    yield
    gc.collect()


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started, with a worker that answers what it is asked."""
    async with HandlerTest() as started:
        started.worker.on(PREPARE).answers(str.upper, after=timedelta(minutes=1))
        yield started


async def gathered(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """Many calls at once."""
    return await asyncio.gather(*(callbacks.call(ctx, PREPARE, dish) for dish in "abc"))


async def grouped(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """A task group, which raises an `ExceptionGroup`."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(callbacks.call(ctx, PREPARE, dish)) for dish in "abc"]
    return [task.result() for task in tasks]


async def in_a_step(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """A call inside a step."""

    async def step() -> str:
        return await callbacks.call(ctx, PREPARE, "a")

    return await ctx.run_typed("step", step)


async def limited(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """A limit that is not durable."""
    return await asyncio.wait_for(callbacks.call(ctx, PREPARE, "a"), 60)


async def created(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """A task of asyncio's that is looked at later."""
    task = asyncio.create_task(callbacks.call(ctx, PREPARE, "a"))
    await ctx.sleep(timedelta(minutes=1))
    return await task


async def caught(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """A handler that hides the error."""
    await asyncio.gather(callbacks.call(ctx, PREPARE, "a"), return_exceptions=True)
    return "fine"


async def collected(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """Collecting in another asyncio task."""
    handles = await callbacks.start_many(ctx, PREPARE, ["a", "b"])
    return await asyncio.gather(callbacks.gather(handles), callbacks.first(handles))


async def beside_a_result(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """A call while another asyncio task waits for a result."""
    handle = await callbacks.start(ctx, PREPARE, "a")
    task = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    return [await callbacks.call(ctx, PREPARE, "b"), await task]


async def result_in_a_step(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """A result inside a step."""
    handle = await callbacks.start(ctx, PREPARE, "a")
    return await ctx.run_typed("step", handle.result)


async def answer_in_a_step(ctx: restate.Context, callbacks: Callbacks) -> Any:
    """The result of an awakeable inside a step."""
    waiting = await callbacks.awakeable(ctx, PREPARE)
    return await ctx.run_typed("step", waiting.result)


IN_A_STEP = [in_a_step, result_in_a_step, answer_in_a_step]
NATURAL = [*IN_A_STEP, gathered, grouped, limited, created, caught, collected, beside_a_result]


@pytest.mark.parametrize("natural", NATURAL)
async def test_what_could_hang_ends_with_the_remedy(test: HandlerTest, natural: Natural) -> None:
    """At once, whatever the handler does with the error."""
    with pytest.raises(restate.TerminalError, match=r"callbacks\.start_many and callbacks\.gather") as caught_error:
        await test.run(natural, test.callbacks)
    assert (caught_error.value.status_code, test.elapsed) == (400, timedelta(0))
    assert ("no compensation" in str(caught_error.value)) is (natural not in IN_A_STEP)


async def test_results_of_started_tasks_may_be_gathered(test: HandlerTest) -> None:
    """The waits take turns; the tasks run at the same time."""

    async def handler(ctx: restate.Context) -> list[str]:
        handles = [await test.callbacks.start(ctx, PREPARE, dish) for dish in "abc"]
        return await asyncio.gather(*(handle.result() for handle in handles))

    assert await test.run(handler) == ["A", "B", "C"]
    assert test.elapsed == timedelta(minutes=1)


async def test_answers_of_awakeables_may_be_gathered(test: HandlerTest) -> None:
    """Two people are asked, and the handler goes on when both have answered."""

    async def handler(ctx: restate.Context) -> list[str]:
        waiting = [await test.callbacks.awakeable(ctx, PREPARE) for _ in range(2)]
        for minutes, each in enumerate(waiting, 1):
            test.complete(each.token, f"after {minutes}", after=timedelta(minutes=minutes))
        return await asyncio.gather(*(each.result() for each in waiting))

    assert await test.run(handler) == ["after 1", "after 2"]
    assert test.elapsed == timedelta(minutes=2)
