"""A task that a signal stops: a durable promise of a workflow, beside a task with retries; on a real Restate."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import restate
from tests.integration.sdk.environment import Order, SdkEnv

from kallback.protocol import CancelReason, Problem, RetryPolicy, TaskType
from kallback.sdk import TaskError
from kallback.testing import RestateError

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[3] / "docs" / "cancellation.md").read_text("utf-8")
BROKEN = Problem("OvenBroken", 503, "no gas", retryable=True)
LATER = timedelta(seconds=2)
"""Longer than the wait after which this Restate suspends a handler: what comes then causes a replay."""


def stoppable(env: SdkEnv, first_delay: timedelta) -> restate.Workflow:
    """A workflow whose task is stopped by its handler `stop`."""
    workflow = restate.Workflow(f"Cooking{uuid4().hex[:8]}")
    prepare = env.limited(retry=RetryPolicy(attempts=3, first_delay=first_delay))

    @workflow.main()
    async def run(ctx: restate.WorkflowContext) -> str:
        handle = await env.callbacks.start(ctx, prepare, Order("soup"))
        if not await handle.ends_before(ctx.promise("stop", type_hint=str).value()):
            await handle.cancel()
            return f"stopped: {await ctx.promise('stop', type_hint=str)}"
        return (await handle.result()).shelf

    @workflow.handler()
    async def stop(ctx: restate.WorkflowSharedContext, why: str) -> None:
        await ctx.promise("stop", type_hint=str).resolve(why)

    @workflow.handler()
    async def stop_later(ctx: restate.WorkflowSharedContext, why: str) -> None:
        await ctx.sleep(LATER)
        await ctx.promise("stop", type_hint=str).resolve(why)

    return workflow


@pytest.mark.parametrize("handler", ["stop", "stop_later"])
async def test_a_signal_stops_a_running_task(env: SdkEnv, handler: str) -> None:
    """Its workers are told; also if the waiting handler was suspended, and is replayed."""
    workflow = stoppable(env, LATER)
    async with env.serving_app(workflow):
        invocation = await env.ingress.send(f"{workflow.name}/one/run")
        await env.task()
        await env.ingress.send(f"{workflow.name}/one/{handler}", "no guests")
        assert await env.ingress.attach(invocation) == "stopped: no guests"
    assert (await env.cancel_record()).reason is CancelReason.CANCELLED


async def test_a_signal_stops_a_task_between_two_attempts(env: SdkEnv) -> None:
    """The next attempt is not sent."""
    workflow = stoppable(env, timedelta(minutes=5))
    async with env.serving_app(workflow):
        invocation = await env.ingress.send(f"{workflow.name}/one/run")
        await env.fail(await env.task(), BROKEN)
        await env.ingress.send(f"{workflow.name}/one/stop_later", "no guests")
        assert await env.ingress.attach(invocation) == "stopped: no guests"


async def test_retries_go_on_while_no_signal_comes(env: SdkEnv) -> None:
    """The delay is longer than the wait after which the handler is suspended."""
    workflow = stoppable(env, LATER)
    async with env.serving_app(workflow):
        invocation = await env.ingress.send(f"{workflow.name}/one/run")
        await env.fail(await env.task(), BROKEN)
        await env.complete(await env.task(), b'{"shelf": "B3"}')
        assert await env.ingress.attach(invocation) == "B3"


async def test_a_service_is_stopped_by_an_awakeable(env: SdkEnv) -> None:
    """Where there is no workflow: another handler has its id."""
    service = restate.Service(f"Cooking{uuid4().hex[:8]}")

    @service.handler()
    async def run(ctx: restate.Context) -> str:
        stop_id, stop = ctx.awakeable(type_hint=str)
        handle = await env.callbacks.start(ctx, env.prepare, Order(stop_id))
        if await handle.ends_before(stop):
            return (await handle.result()).shelf
        await handle.cancel()
        return f"stopped: {await stop}"

    async with env.serving_app(service):
        invocation = await env.ingress.send(f"{service.name}/run")
        order = env.prepare.request_codec.decode((await env.task()).value or b"")
        await env.ingress.resolve(order.dish, "no guests")
        assert await env.ingress.attach(invocation) == "stopped: no guests"


async def test_a_promise_has_one_value_as_in_the_handler_test(env: SdkEnv) -> None:
    """What `HandlerTest` simulates is what Restate does (`tests/unit/testing/in_memory/test_promises.py`)."""
    workflow = restate.Workflow(f"Promises{uuid4().hex[:8]}")

    @workflow.main()
    async def run(ctx: restate.WorkflowContext) -> list[Any]:
        promise, refused = ctx.promise("stop", type_hint=str), ctx.promise("refused", type_hint=str)
        before = await promise.peek()
        await promise.resolve("first")
        await refused.reject("closed", 503)
        second, closed = await env.outcome(promise.resolve("second")), await env.outcome(refused.value())
        return [before, await promise.peek(), second["code"], closed["code"], closed["message"], await promise]

    async with env.serving_app(workflow):
        seen = await env.ingress.call(f"{workflow.name}/one/run")
    assert seen == [None, "first", 409, 503, "closed", "first"]


async def test_the_object_of_the_page_is_stopped_by_its_other_handler(env: SdkEnv) -> None:
    """As docs/cancellation.md prints it."""
    snippet = next(each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "objects.handler" in each)
    objects = restate.VirtualObject(f"Documents{uuid4().hex[:8]}")
    render = TaskType(f"{env.prepare.name}-render", str, str, topic=env.prepare.topic)
    exec(snippet, {"objects": objects, "callbacks": env.callbacks, "render": render, "restate": restate})
    async with env.serving_app(objects):
        invocation = await env.ingress.send(f"{objects.name}/one/convert", "page.md")
        await env.task()
        await env.ingress.send(f"{objects.name}/one/stop", "no paper")
        assert await env.ingress.attach(invocation) == "stopped: no paper"


async def test_the_invocation_of_the_page_is_cancelled_by_its_other_handler(env: SdkEnv) -> None:
    """As docs/cancellation.md prints it: the worker is told, the handler compensates, and its caller gets the 409."""
    snippet = next(each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "posters.handler" in each)
    posters = restate.VirtualObject(f"Posters{uuid4().hex[:8]}")
    freed: list[str] = []

    def free_paper(url: str) -> None:
        freed.append(url)

    names = {
        "posters": posters,
        "callbacks": env.callbacks,
        "render": TaskType(f"{env.prepare.name}-render", str, str, topic=env.prepare.topic),
        "free_paper": free_paper,
        "restate": restate,
        "TaskError": TaskError,
        "TerminalError": restate.TerminalError,
    }
    exec(snippet, names)
    async with env.serving_app(posters):
        invocation = await env.ingress.send(f"{posters.name}/one/print_all", "page.md")
        await env.task()
        await env.ingress.call(f"{posters.name}/one/stop")
        with pytest.raises(RestateError, match="cancelled"):
            await env.ingress.attach(invocation)
    assert freed == ["page.md"]
    assert (await env.cancel_record()).reason is CancelReason.CANCELLED


@pytest.mark.parametrize("later", [timedelta(0), LATER])
async def test_the_first_failure_ends_a_group_that_a_signal_may_stop(env: SdkEnv, later: timedelta) -> None:
    """Also if the waiting handler was suspended, and is replayed: it is raised, and the other task's worker is told."""
    workflow = restate.Workflow(f"Photos{uuid4().hex[:8]}")

    @workflow.main()
    async def run(ctx: restate.WorkflowContext) -> list[str]:
        handles = await env.callbacks.start_many(ctx, env.prepare, [Order("soup"), Order("cake")])
        await ctx.sleep(later)
        if await env.callbacks.all_end_before(handles, ctx.promise("stop").value(), or_one_fails=True):
            return [each.shelf for each in await env.callbacks.gather(handles)]
        return []

    async with env.serving_app(workflow):
        invocation = await env.ingress.send(f"{workflow.name}/one/run")
        first, _ = await env.task(), await env.task()  # `cancel_record` knows those of tasks that came
        await env.fail(first, Problem("OutOfStock", 422, "no basil"))
        with pytest.raises(RestateError, match="no basil"):
            await env.ingress.attach(invocation)
    assert (await env.cancel_record()).reason is CancelReason.CANCELLED
