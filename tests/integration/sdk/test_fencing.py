"""A completion that belongs to another attempt, or to an earlier run with the same awakeable ids."""

from __future__ import annotations

from typing import Any

import pytest
import restate

from kallback.protocol import Attempt, CancelReason, Completed, TaskHeaders, TaskId, seal

pytestmark = pytest.mark.integration

STALE = seal(TaskId("AAAAAAAAAAAAAAAA"), Attempt(1), Completed(b'{"shelf": "stale"}'))


async def test_a_stale_completion_dispatches_the_task_again(world: Any) -> None:
    """`result()` publishes the next attempt: same task, same deadline, another awakeable."""

    async def run(ctx: restate.Context) -> list[Any]:
        handle = await world.callbacks.start(ctx, world.prepare, world.Order("x"))
        prepared = await handle.result()
        return [prepared.shelf, handle.attempt]

    async with world.invoked(run) as invocation:
        first = await world.task()
        await world.post(first, STALE)
        second = await world.task()
        await world.complete(second, b'{"shelf": "fresh"}')
        assert await invocation.result() == ["fresh", 2]
    before, after = TaskHeaders.decode(first.headers), TaskHeaders.decode(second.headers)
    assert (before.task_id, before.deadline_ms) == (after.task_id, after.deadline_ms)
    assert (before.attempt, after.attempt) == (1, 2)
    assert world.awakeable_of(first) != world.awakeable_of(second)


async def test_the_used_up_attempt_is_withdrawn(world: Any) -> None:
    """A cancel says that the first attempt, and only it, is superseded."""

    async def run(ctx: restate.Context) -> str:
        return (await world.callbacks.call(ctx, world.prepare, world.Order("x"))).shelf

    async with world.invoked(run) as invocation:
        await world.post(await world.task(), STALE)
        cancel = await world.cancel_record()
        await world.complete(await world.task(), b'{"shelf": "fresh"}')
        await invocation.result()
    assert (cancel.reason, cancel.attempt) == (CancelReason.SUPERSEDED, 1)


async def test_the_result_of_the_withdrawn_attempt_is_stale_too(world: Any) -> None:
    """A completion for attempt 1 does not complete attempt 2."""

    async def run(ctx: restate.Context) -> list[Any]:
        handle = await world.callbacks.start(ctx, world.prepare, world.Order("x"))
        prepared = await handle.result()
        return [prepared.shelf, handle.attempt]

    async with world.invoked(run) as invocation:
        first = await world.task()
        await world.post(first, STALE)
        second = await world.task()
        task_id = TaskHeaders.decode(first.headers).task_id
        await world.post(second, seal(task_id, Attempt(1), Completed(b'{"shelf": "old"}')))
        await world.complete(await world.task(), b'{"shelf": "fresh"}')
        assert await invocation.result() == ["fresh", 3]


async def test_the_future_says_that_it_is_stale(world: Any) -> None:
    """`handle.future` dispatches nothing: a stale completion is a terminal error of its own."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await world.callbacks.start(ctx, world.prepare, world.Order("x"))
        return await world.outcome(handle.future)

    async with world.invoked(run) as invocation:
        await world.post(await world.task(), STALE)
        got = await invocation.result()
    assert (got["kind"], got["type"]) == ("StaleResult", "urn:kallback:stale-result")


async def test_a_second_run_of_a_workflow_is_fenced_from_the_first(world: Any) -> None:
    """After a purge the same workflow has the same awakeable id; the first run's late result does not end it."""
    workflow = restate.Workflow(f"Workflow{world.prepare.name.rpartition('.')[2]}")

    @workflow.main()
    async def run(ctx: restate.WorkflowContext) -> str:
        return (await world.callbacks.call(ctx, world.prepare, world.Order("x"))).shelf

    async with world.serving_app(workflow):
        invocation = await world.ingress.send(f"{workflow.name}/k1/run")
        old = await world.task()
        await world.complete(old, b'{"shelf": "first"}')
        assert await world.ingress.attach(invocation) == "first"
        await world.admin.purge(invocation)

        invocation = await world.ingress.send(f"{workflow.name}/k1/run")
        new = await world.task()
        assert world.awakeable_of(old) == world.awakeable_of(new)
        await world.complete(old, b'{"shelf": "first again"}')
        await world.complete(await world.task(), b'{"shelf": "second"}')
        assert await world.ingress.attach(invocation) == "second"
