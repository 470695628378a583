"""A task between two attempts, read from a real Restate's journal."""

from __future__ import annotations

import asyncio
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
from kallback.sdk import Callbacks
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
