"""What the doctor says of a type by its name, and of a task whose record no worker could take."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import restate
from tests.integration.operations.conftest import ShopFactory
from tests.integration.operations.doctor import findings_of

from kallback.operations import Introspection
from kallback.operations.doctor import Finding, Severity
from kallback.protocol import TaskType
from kallback.sdk import Callbacks
from kallback.testing import eventually
from kallback.workers import Worker

pytestmark = pytest.mark.integration


async def test_a_task_that_no_function_knows_is_named_without_its_id(make_shop: ShopFactory) -> None:
    """Its type has another name than its topic; a worker of the topic dead-lettered its record."""

    async def call(ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]) -> None:
        await callbacks.call(ctx, TaskType(f"{cook.name}-new", dict, dict, topic=cook.topic), body)

    async with (
        make_shop(call) as shop,
        Introspection(shop.settings.restate) as introspection,
        asyncio.timeout(90),
    ):
        worker = Worker(f"{shop.cook.topic}-old", settings=shop.settings)

        @worker.task(shop.cook)
        async def _old(body: dict[str, Any]) -> dict[str, Any]:
            return body

        async with worker:
            await shop.order()
            [task] = await shop.tasks(1)

            async def found(target: str) -> list[Finding]:
                said = await findings_of(shop, introspection, target)
                return said if any(each.subject == "dead letters" for each in said) else []

            for target in ("", task.task_type):
                said = await eventually(f"what the doctor says of {target!r}", lambda: found(target))  # noqa: B023 - it is awaited here
                [dead] = [each for each in said if each.subject == "dead letters"]
                assert (dead.severity, task.task_id in dead.sentence) == (Severity.PROBLEM, True)
                assert "unknown-task-type" in dead.sentence
                assert any(each.subject == "workers" and shop.cook.topic in each.sentence for each in said)


async def test_a_handler_whose_topic_is_missing_is_named(make_shop: ShopFactory) -> None:
    """With the command that creates it."""

    async def call(ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]) -> None:
        await callbacks.call(ctx, TaskType(f"{cook.name}-nowhere", dict, dict), body)

    async with (
        make_shop(call) as shop,
        Introspection(shop.settings.restate) as introspection,
        asyncio.timeout(90),
    ):
        await shop.order()
        name = f"{shop.cook.name}-nowhere"

        async def found() -> Finding | None:
            said = await findings_of(shop, introspection, name)
            return next((each for each in said if each.subject == "publish"), None)

        finding = await eventually("the finding", found)
    assert finding.severity is Severity.PROBLEM
    assert finding.sentence.startswith(f"1 handler waits to publish tasks of type {name}, such as {shop.service}/order")
    assert f"kallback topics create {name}" in finding.sentence
