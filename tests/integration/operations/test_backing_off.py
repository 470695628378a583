"""A task between two attempts, read from a real Restate's journal."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest
import restate
from tests.integration.operations.conftest import Shop, ShopFactory
from tests.integration.operations.test_by_hand import headers_of

from kallback.bridge import Bridge
from kallback.kafka import ConfluentProducer
from kallback.operations import (
    ByHand,
    NotAnswerableError,
    PendingTask,
    TaskState,
)
from kallback.protocol import Problem, RetryPolicy, TaskType
from kallback.protocol.by_hand import Operator
from kallback.sdk import Callbacks, TaskError
from kallback.testing import eventually

pytestmark = pytest.mark.integration
LONG = RetryPolicy(first_delay=timedelta(minutes=5))
ALICE = Operator("alice", "by phone")


async def call(
    ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]
) -> dict[str, Any]:
    """Wait for one task."""
    return await callbacks.call(ctx, cook, body)


async def in_state(shop: Shop, task_id: str, state: TaskState) -> PendingTask:
    """The task, as soon as it is in this state."""

    async def found() -> PendingTask | None:
        task = await shop.pending.find(task_id)
        return task if task is not None and task.state is state else None

    return await eventually(f"a task that is {state}", found)


async def test_a_task_that_waits_for_its_next_attempt_is_pending(make_shop: ShopFactory) -> None:
    """It is found, says when the next attempt is sent, and what ends it; the command in that sentence is right."""
    async with (
        make_shop(call, retry=LONG) as shop,
        Bridge(shop.settings),
        ConfluentProducer(shop.settings.kafka) as producer,
        asyncio.timeout(90),
    ):
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        headers = await headers_of(shop, task)
        await ByHand(producer, shop.settings, ALICE).fail(headers, Problem("Burnt", 500, "black"))
        failed = await in_state(shop, task.task_id, TaskState.BACKING_OFF)
        assert failed.next_attempt_ms is not None
        assert failed.next_attempt_ms > task.created_ms
        with pytest.raises(NotAnswerableError, match="sends attempt 2 at") as refused:
            await headers_of(shop, failed)
        command = str(refused.value).rpartition(": ")[2].split()
        assert command[-1].endswith(f"/invocations/{invocation}/cancel")
        curl = await asyncio.create_subprocess_exec(*command, "--silent", "--fail")
        assert await curl.wait() == 0
        assert await shop.tasks(0) == []


async def fail(shop: Shop, producer: ConfluentProducer, task: PendingTask, problem: Problem) -> None:
    """Fail the current attempt of a task."""
    await ByHand(producer, shop.settings, ALICE).fail(await headers_of(shop, task), problem)


async def signals(shop: Shop, invocation: str, count: int) -> None:
    """Wait until so many results are in a journal."""

    async def came() -> bool:
        sql = f"SELECT id FROM sys_journal WHERE id = '{invocation}' AND entry_type = 'Notification: Signal'"
        return len(await shop.admin.query(sql)) == count

    await eventually(f"{count} results in the journal", came)


@pytest.mark.parametrize("flaky_is_first", [True, False])
async def test_the_task_that_failed_for_good_is_pending_no_more(make_shop: ShopFactory, flaky_is_first: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Another one of its type is tried again; both failed before the handler acted on either, in either order."""
    both_failed = asyncio.Event()

    async def handler(
        ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]
    ) -> None:
        tasks = await callbacks.start_many(ctx, cook, [body] * 2)
        await ctx.run_typed("wait for both", both_failed.wait)
        await callbacks.gather(tasks, partial=True)

    async with (
        make_shop(handler, retry=LONG) as shop,
        Bridge(shop.settings),
        ConfluentProducer(shop.settings.kafka) as producer,
        asyncio.timeout(90),
    ):
        invocation = await shop.order()
        one, other = await shop.tasks(2)
        flaky, corrupt = (one, other) if flaky_is_first else (other, one)
        problems = {flaky.task_id: Problem("Flaky", 503, "again"), corrupt.task_id: Problem("Corrupt", 422, "never")}
        for count, task in enumerate((one, other), 1):
            await fail(shop, producer, task, problems[task.task_id])
            await signals(shop, invocation, count)
        both_failed.set()
        await in_state(shop, flaky.task_id, TaskState.BACKING_OFF)
        [left] = await shop.tasks(1)
    assert left.task_id == flaky.task_id


async def test_tasks_that_were_given_up_together_are_pending_no_more(make_shop: ShopFactory) -> None:
    """One of three failed, `gather` cancelled the others, and the handler goes on to something else."""

    async def handler(
        ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]
    ) -> None:
        with contextlib.suppress(TaskError):
            await callbacks.gather(await callbacks.start_many(ctx, cook, [body] * 3))
        await callbacks.call(ctx, cook, {"next": True})

    async with (
        make_shop(handler) as shop,
        Bridge(shop.settings),
        ConfluentProducer(shop.settings.kafka) as producer,
        asyncio.timeout(90),
    ):
        await shop.order()
        first, *_ = given_up = await shop.tasks(3)
        await fail(shop, producer, first, Problem("Corrupt", 422, "never"))
        [left] = await shop.tasks(1)
    assert left.task_id not in {task.task_id for task in given_up}
