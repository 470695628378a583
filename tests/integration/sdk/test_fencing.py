"""A completion that belongs to another attempt, or to an earlier run with the same awakeable ids."""

from __future__ import annotations

from typing import Any

import pytest
import restate
from tests.integration.sdk.environment import Order, SdkEnv

from kallback.protocol import Attempt, CancelReason, Completed, TaskHeaders, TaskId, seal

pytestmark = pytest.mark.integration

STALE = seal(TaskId("AAAAAAAAAAAAAAAA"), Attempt(1), Completed(b'{"shelf": "stale"}'))


async def test_a_stale_completion_dispatches_the_task_again(env: SdkEnv) -> None:
    """`result()` publishes the next attempt: same task, same deadline, another awakeable."""

    async def run(ctx: restate.Context) -> list[Any]:
        handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
        prepared = await handle.result()
        return [prepared.shelf, handle.attempt]

    async with env.invoked(run) as invocation:
        first = await env.task()
        await env.post(first, STALE)
        second = await env.task()
        await env.complete(second, b'{"shelf": "fresh"}')
        assert await invocation.result() == ["fresh", 2]
    before, after = TaskHeaders.decode(first.headers), TaskHeaders.decode(second.headers)
    assert (before.task_id, before.deadline_ms) == (after.task_id, after.deadline_ms)
    assert (before.attempt, after.attempt) == (1, 2)
    assert env.awakeable_of(first) != env.awakeable_of(second)


async def test_the_used_up_attempt_is_withdrawn(env: SdkEnv) -> None:
    """A cancel says that the first attempt, and only it, is superseded."""

    async def run(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, env.prepare, Order("x"))).shelf

    async with env.invoked(run) as invocation:
        await env.post(await env.task(), STALE)
        cancel = await env.cancel_record()
        await env.complete(await env.task(), b'{"shelf": "fresh"}')
        await invocation.result()
    assert (cancel.reason, cancel.attempt) == (CancelReason.SUPERSEDED, 1)


async def test_the_result_of_the_withdrawn_attempt_is_stale_too(env: SdkEnv) -> None:
    """A completion for attempt 1 does not complete attempt 2."""

    async def run(ctx: restate.Context) -> list[Any]:
        handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
        prepared = await handle.result()
        return [prepared.shelf, handle.attempt]

    async with env.invoked(run) as invocation:
        first = await env.task()
        await env.post(first, STALE)
        second = await env.task()
        task_id = TaskHeaders.decode(first.headers).task_id
        await env.post(second, seal(task_id, Attempt(1), Completed(b'{"shelf": "old"}')))
        await env.complete(await env.task(), b'{"shelf": "fresh"}')
        assert await invocation.result() == ["fresh", 3]


async def test_the_future_says_that_it_is_stale(env: SdkEnv) -> None:
    """`handle.future` dispatches nothing: a stale completion is a terminal error of its own."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
        return await env.outcome(handle.future)

    async with env.invoked(run) as invocation:
        await env.post(await env.task(), STALE)
        got = await invocation.result()
    assert (got["kind"], got["type"]) == ("StaleResult", "urn:kallback:stale-result")


async def test_a_second_run_of_a_workflow_is_fenced_from_the_first(env: SdkEnv) -> None:
    """After a purge the same workflow has the same awakeable id; the first run's late result does not end it."""
    workflow = restate.Workflow(f"Workflow{env.prepare.name.rpartition('.')[2]}")

    @workflow.main()
    async def run(ctx: restate.WorkflowContext) -> str:
        return (await env.callbacks.call(ctx, env.prepare, Order("x"))).shelf

    async with env.serving_app(workflow):
        invocation = await env.ingress.send(f"{workflow.name}/k1/run")
        old = await env.task()
        await env.complete(old, b'{"shelf": "first"}')
        assert await env.ingress.attach(invocation) == "first"
        await env.admin.purge(invocation)

        invocation = await env.ingress.send(f"{workflow.name}/k1/run")
        new = await env.task()
        assert env.awakeable_of(old) == env.awakeable_of(new)
        await env.complete(old, b'{"shelf": "first again"}')
        await env.complete(await env.task(), b'{"shelf": "second"}')
        assert await env.ingress.attach(invocation) == "second"
