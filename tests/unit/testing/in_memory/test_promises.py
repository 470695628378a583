"""Durable promises of a workflow in `HandlerTest`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import restate
from restate import TerminalError

from kallback.testing import HandlerTest, StuckHandlerError

HOUR = timedelta(hours=1)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


async def wait(ctx: restate.WorkflowContext) -> Any:
    """Wait for the promise."""
    return await ctx.promise("stop", type_hint=str)


async def test_the_test_resolves_a_promise_later(test: HandlerTest) -> None:
    """As another handler of the workflow does; time passes meanwhile."""
    test.resolve_promise("stop", "now", after=HOUR)
    assert await test.run(wait) == "now"
    assert test.elapsed == HOUR


async def test_a_handler_that_runs_before_resolves_a_promise(test: HandlerTest) -> None:
    """It is the same workflow."""

    async def stop(ctx: restate.WorkflowSharedContext, why: str) -> None:
        await ctx.promise("stop", type_hint=str).resolve(why)

    await test.run(stop, "now")
    assert await test.run(wait) == "now"


async def test_a_rejected_promise_raises(test: HandlerTest) -> None:
    """With message and code."""

    async def handler(ctx: restate.WorkflowContext) -> None:
        await ctx.promise("stop").reject("closed", 503)
        await ctx.promise("stop")

    with pytest.raises(TerminalError, match="closed") as raised:
        await test.run(handler)
    assert raised.value.status_code == 503


async def test_a_look_at_a_promise_does_not_wait(test: HandlerTest) -> None:
    """Nothing, then the value."""

    async def handler(ctx: restate.WorkflowContext) -> list[Any]:
        promise = ctx.promise("stop", type_hint=str)
        before = await promise.peek()
        await promise.resolve("now")
        return [before, await promise.peek()]

    assert await test.run(handler) == [None, "now"]


async def test_the_first_value_of_a_promise_counts(test: HandlerTest) -> None:
    """A handler that comes second hears so, as on a real Restate."""

    async def handler(ctx: restate.WorkflowContext) -> list[Any]:
        promise = ctx.promise("stop", type_hint=str)
        await promise.resolve("first")
        try:
            await promise.resolve("second")
        except TerminalError as error:
            return [error.status_code, await promise]
        raise AssertionError

    assert await test.run(handler) == [409, "first"]


async def test_a_promise_that_nobody_resolves_stops_the_test(test: HandlerTest) -> None:
    """And the error says what can be done."""
    with pytest.raises(StuckHandlerError, match="resolve the promise"):
        await test.run(wait)
