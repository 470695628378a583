"""Pending tasks, read from a real Restate's journals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import restate
from tests.integration.operations.conftest import HOUR, ShopFactory

from kallback.operations import PendingTask, TaskFilter, TaskState
from kallback.protocol import Keyring, TaskHeaders, TaskType
from kallback.sdk import Callbacks
from kallback.testing import eventually

pytestmark = pytest.mark.integration
Cook = TaskType[Any, Any]
Body = dict[str, Any]


async def call(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
    """Wait for one task."""
    await callbacks.call(ctx, cook, body)


async def test_a_pending_task_leads_to_its_record(make_shop: ShopFactory) -> None:
    """Type, id, handler and invocation come from the journal; key, request and token from Kafka."""
    async with make_shop(call) as shop, asyncio.timeout(90):
        invocation = await shop.order(7)
        [task] = await shop.tasks(1)
        record = await shop.record(task)
    headers = TaskHeaders.decode(record.headers)
    assert (task.task_id, task.task_type, task.attempt) == (headers.task_id, shop.cook.name, 1)
    assert (task.invocation.id, task.invocation.handler) == (invocation, f"{shop.service}/order")
    assert (task.deadline_ms, task.state) == (headers.deadline_ms, TaskState.SENT)
    assert record.value == b'{"number":7}'


async def test_pages_have_each_task_once_the_oldest_first(make_shop: ShopFactory) -> None:
    """A page may end within an invocation that waits for several tasks."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await callbacks.gather(await callbacks.start_many(ctx, cook, [body] * 3))

    async with make_shop(handler) as shop, asyncio.timeout(90):
        first, second = await shop.order(), await shop.order()
        whole = await shop.tasks(6)
        found, cursor = list[PendingTask](), None
        while not found or cursor is not None:
            page = await shop.pending.page(cursor=cursor, limit=2)
            found, cursor = found + page.tasks, page.cursor
        at_once = [task.task_id async for page in shop.pending.each() for task in page.tasks]
    assert [task.task_id for task in found] == [task.task_id for task in whole] == at_once
    assert [task.invocation.id for task in found] == [first] * 3 + [second] * 3
    assert len({task.task_id for task in found}) == 6


async def test_a_task_that_its_handler_does_not_wait_for_is_not_listed(make_shop: ShopFactory) -> None:
    """It cancelled the task, and went on to the next one."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await (await callbacks.start(ctx, cook, body)).cancel()
        await callbacks.call(ctx, cook, {"next": True})

    async with make_shop(handler) as shop, asyncio.timeout(90):
        await shop.order()

        async def requests() -> list[bytes | None]:
            tasks = (await shop.pending.page()).tasks
            return [(await shop.record(task)).value for task in tasks]

        async def only_the_next() -> bool:
            return await requests() == [b'{"next":true}']

        await eventually("the next task alone", only_the_next)


async def test_a_task_that_has_its_result_is_listed_no_more(make_shop: ShopFactory) -> None:
    """The handler still waits for the other one, and its journal, which was read before, has grown."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await callbacks.gather(await callbacks.start_many(ctx, cook, [body] * 2))

    async with make_shop(handler) as shop, asyncio.timeout(90):
        await shop.order()
        done, waiting = await shop.tasks(2)
        record = await shop.record(done)
        token = Keyring.insecure().verify(TaskHeaders.decode(record.headers).token, shop.settings.keys.audience)
        completed = {"kallback": 1, "task": done.task_id, "attempt": 1, "status": "completed", "value": {}}
        await shop.ingress.resolve(token.awakeable_id, completed)
        [left] = await shop.tasks(1)
    assert left.task_id == waiting.task_id


async def test_a_handler_that_fails_with_its_result_has_not_gone_on(make_shop: ShopFactory) -> None:
    """Restate notes nothing of an attempt that fails, so the result stays the last entry of the journal."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await callbacks.call(ctx, cook, body)
        raise RuntimeError("no plates")

    async with make_shop(handler) as shop, asyncio.timeout(90):
        invocation = await shop.order()
        [task] = await shop.tasks(1)
        record = await shop.record(task)
        token = Keyring.insecure().verify(TaskHeaders.decode(record.headers).token, shop.settings.keys.audience)
        completed = {"kallback": 1, "task": task.task_id, "attempt": 1, "status": "completed", "value": {}}
        assert (await shop.pending.page()).untaken == ()
        await shop.ingress.resolve(token.awakeable_id, completed)
        await shop.tasks(0)
        [untaken] = (await shop.pending.page()).untaken
        await shop.admin.kill(invocation)
    assert (untaken.task_id, untaken.invocation.id) == (task.task_id, invocation)


async def test_a_task_with_heartbeats_tells_its_state(make_shop: ShopFactory) -> None:
    """No worker has begun it; `find` goes straight to its invocation."""
    async with make_shop(call, heartbeat_every=HOUR) as shop, asyncio.timeout(90):
        await shop.order()
        [task] = await shop.tasks(1)
        assert task.state is TaskState.NOT_STARTED
        assert (await shop.pending.page(TaskFilter(states=frozenset({TaskState.RUNNING})))).tasks == []
        found = await shop.pending.find(task.task_id)
        assert found is not None
        assert (found.position, found.state) == (task.position, task.state)  # its invocation may be suspended meanwhile
        assert await shop.pending.find("AAAAAAAAAAAAAAAA") is None
