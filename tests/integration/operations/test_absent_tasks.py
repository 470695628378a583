"""Why no handler waits for a task, by the journals that a real Restate keeps."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import restate
from tests.integration.operations.conftest import Shop, ShopFactory

from kallback.operations import AbsenceCause, AbsentTask, AbsentTasks, Introspection, PendingTask
from kallback.protocol import Keyring, TaskHeaders, TaskType
from kallback.sdk import Callbacks
from kallback.testing import eventually

pytestmark = pytest.mark.integration
Cook = TaskType[Any, Any]
Body = dict[str, Any]


async def absent(shop: Shop, task_id: str, audience: str | None = None) -> AbsentTask:
    """What is said of a task; in another environment with another audience."""
    async with Introspection(shop.settings.restate) as introspection:
        return await AbsentTasks(introspection, audience or shop.settings.keys.audience).explain(task_id)


async def complete(shop: Shop, task: PendingTask) -> None:
    """Resolve its awakeable, as a bridge does."""
    headers = TaskHeaders.decode((await shop.record(task)).headers)
    token = Keyring.insecure().verify(headers.token, shop.settings.keys.audience)
    envelope = {"kallback": 1, "task": task.task_id, "attempt": 1, "status": "completed", "value": {}}
    await shop.ingress.resolve(token.awakeable_id, envelope)


async def publishing_step(shop: Shop, invocation: str, name: str = "publish") -> list[str]:
    """The words of the name of a step; none if there is no such step yet."""
    rows = await shop.admin.query(f"SELECT name FROM sys_journal WHERE id = '{invocation}' AND name LIKE '{name} %'")
    return str(rows[0]["name"]).split(" ") if rows else []


@pytest.mark.parametrize("count", [1, 2])
async def test_a_task_that_has_ended_is_found_with_its_handler(make_shop: ShopFactory, count: int) -> None:
    """By the name of the step that published it; of several that were published together, by what the step returned."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        if count == 1:
            await callbacks.call(ctx, cook, body)
        else:
            await callbacks.gather(await callbacks.start_many(ctx, cook, [body] * count))

    async with make_shop(handler) as shop, asyncio.timeout(90):
        invocation = await shop.order()
        tasks = await shop.tasks(count)
        of_others = await absent(shop, tasks[0].task_id, "another.results")
        for task in tasks:
            await complete(shop, task)
        await shop.ingress.attach(invocation)

        async def ended() -> AbsentTask | None:
            found = await absent(shop, tasks[-1].task_id)
            return found if found.cause is AbsenceCause.HANDLER_ENDED else None

        found: AbsentTask = await eventually("the end of the handler", ended)
    assert (of_others.cause, of_others.audience) == (AbsenceCause.OTHER_ENVIRONMENT, shop.settings.keys.audience)
    assert found.holder is not None
    assert (found.holder.id, found.holder.completion_result) == (invocation, "success")
    assert found.sentence.startswith(f"task {tasks[-1].task_id} has ended, and so has its handler")


async def test_a_task_without_a_result_in_time_says_so(make_shop: ShopFactory) -> None:
    """It has no outcome record; what its handler ended with is in Restate."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await callbacks.call(ctx, cook, body, timeout=timedelta(seconds=1))

    async with make_shop(handler) as shop, asyncio.timeout(90):
        task_id = (await eventually("the step that publishes", partial(publishing_step, shop, await shop.order())))[2]

        async def ended() -> AbsentTask | None:
            found = await absent(shop, task_id)
            return found if found.cause is AbsenceCause.HANDLER_ENDED else None

        found: AbsentTask = await eventually("the end of the handler", ended)
    assert "with failure at " in found.sentence
    assert f"(task {task_id}) before its deadline" in found.sentence


async def test_a_task_whose_handler_has_gone_on_has_ended(make_shop: ShopFactory) -> None:
    """It waits for the next one."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await callbacks.call(ctx, cook, body)
        await callbacks.call(ctx, cook, body)

    async with make_shop(handler) as shop, asyncio.timeout(90):
        await shop.order()
        [first] = await shop.tasks(1)
        await complete(shop, first)

        async def next_task() -> bool:
            return [task.task_id for task in (await shop.pending.page()).tasks] not in ([], [first.task_id])

        await eventually("the next task", next_task)
        found = await absent(shop, first.task_id)
    assert found.cause is AbsenceCause.TASK_ENDED


async def test_a_task_that_kafka_does_not_have_has_not_ended(make_shop: ShopFactory) -> None:
    """Its topic is missing: the handler tries again and again."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await callbacks.call(ctx, TaskType(f"{cook.name}.missing", dict[str, Any], dict[str, Any]), body)

    async with make_shop(handler) as shop, asyncio.timeout(90):
        invocation = await shop.order()
        task_id = (await eventually("the step that publishes", partial(publishing_step, shop, invocation)))[2]
        first = await absent(shop, task_id)
        await eventually("another try", partial(publishing_step, shop, invocation, "wait for Kafka, then publish"))
        later = await absent(shop, task_id)
        await shop.admin.cancel(invocation)
    assert (first.cause, later.cause) == (AbsenceCause.NOT_SENT, AbsenceCause.NOT_SENT)


async def test_an_id_that_restate_does_not_know_may_be_wrong(make_shop: ShopFactory) -> None:
    """Or it is of a journal that is not kept any more: nothing tells which."""

    async def handler(ctx: restate.Context, callbacks: Callbacks, cook: Cook, body: Body) -> None:
        await callbacks.call(ctx, cook, body)

    async with make_shop(handler) as shop, asyncio.timeout(90):
        found = await absent(shop, "AAECAwQFBgcICQoL")
    assert (found.cause, found.holder) == (AbsenceCause.UNKNOWN, None)
