"""What the doctor says of applications: two that register kallback's services, and one whose handler fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
import restate
from tests.integration.operations.conftest import HOUR, Shop, ShopFactory
from tests.integration.operations.doctor import findings_of

from kallback import kafka
from kallback.bridge.restate.services import ServiceState
from kallback.operations import Introspection, PendingTask, read_task_record
from kallback.operations.doctor import Finding, Severity, service_check
from kallback.protocol import Keyring, TaskType
from kallback.sdk import Callbacks
from kallback.testing import Stack, eventually, serve_endpoint

pytestmark = pytest.mark.integration


async def call(ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]) -> None:
    """Wait for one task."""
    await callbacks.call(ctx, cook, body)


async def fail(_ctx: restate.Context, _callbacks: Callbacks, _cook: TaskType[Any, Any], body: dict[str, Any]) -> None:
    """Fail before there is a task, as a handler with a defect does."""
    raise AttributeError(f"{body} has no attribute 'photos'")


async def of_services(shop: Shop, introspection: Introspection) -> list[Finding]:
    """What the doctor says of the services."""
    return [each for each in await findings_of(shop, introspection, shop.cook.topic) if each.subject == "services"]


async def test_the_doctor_names_a_handler_that_fails_again_and_again(make_shop: ShopFactory) -> None:
    """There is no task yet, so nothing else would tell."""
    async with (
        make_shop(fail) as shop,
        Introspection(shop.settings.restate) as introspection,
        asyncio.timeout(90),
    ):
        await shop.order()

        async def found() -> Finding | None:
            said = [
                each
                for each in await findings_of(shop, introspection, shop.cook.topic)
                if each.subject == "invocations"
            ]
            return next((each for each in said if f"{shop.service}/order" in each.sentence), None)

        finding = await eventually("the finding", found)
    assert finding.severity is Severity.WARNING
    assert "has no attribute 'photos'" in finding.sentence


async def test_the_doctor_names_the_application_that_took_the_services(
    make_shop: ShopFactory, kallback_stack: Stack
) -> None:
    """First a warning, while it answers; a problem with its address once it is stopped."""
    async with (
        make_shop(call, heartbeat_every=HOUR) as shop,
        Callbacks(shop.settings) as theirs,
        Introspection(shop.settings.restate) as introspection,
        asyncio.timeout(120),
    ):
        assert {each.severity for each in await of_services(shop, introspection)} == {Severity.OK}
        other = restate.Service(f"Reports{shop.service}")

        @other.handler()
        async def report(_ctx: restate.Context, body: str) -> str:
            return body

        async with serve_endpoint(theirs.app([other]), kallback_stack.restate) as taken:
            warned = [each for each in await of_services(shop, introspection) if each.severity is Severity.WARNING]
        stopped = await of_services(shop, introspection)
    monitor = shop.settings.services.monitor
    assert any(monitor in each.sentence and shop.service in each.sentence for each in warned)
    [found] = [each for each in stopped if each.severity is Severity.PROBLEM and monitor in each.sentence]
    assert taken.uri.rstrip("/") in found.sentence
    assert shop.service in found.sentence
    assert "services_elsewhere=True" in found.remedy


async def test_the_doctor_leaves_no_question_in_restate(make_shop: ShopFactory, kallback_stack: Stack) -> None:
    """Before, there is one for each service, however often it asks, and none is a handler that cannot go on."""
    async with (
        make_shop(call, heartbeat_every=HOUR) as shop,
        Callbacks(shop.settings) as theirs,
        Introspection(shop.settings.restate) as introspection,
        asyncio.timeout(120),
    ):
        other = restate.Service(f"Reports{shop.service}")

        @other.handler()
        async def report(_ctx: restate.Context, body: str) -> str:
            return body

        async with serve_endpoint(theirs.app([other]), kallback_stack.restate):
            pass  # it takes kallback's services, and is gone
        names = shop.settings.services
        where = f"target_service_name IN ('{names.monitor}', '{names.notifier}')"

        async def left() -> list[dict[str, Any]]:
            return await shop.admin.query(f"SELECT id, idempotency_key FROM sys_invocation_status WHERE {where}")

        ask = service_check(shop.settings)
        assert ask is not None
        for _ in range(2):  # as two runs at one time
            assert {each.state for each in await ask()} == {ServiceState.UNKNOWN}
        waiting = await left()
        said = await findings_of(shop, introspection, "")
        await eventually("nothing is left", lambda: _is_empty(left))
    assert len(waiting) == 2
    assert all(each["idempotency_key"].startswith("kallback-check-") for each in waiting)
    assert any("give no answer" in each.sentence for each in said if each.subject == "services")
    assert not any(names.monitor in each.sentence for each in said if each.subject == "invocations")


async def _is_empty(read: Callable[[], Awaitable[list[dict[str, Any]]]]) -> bool:
    return not await read()


async def test_the_doctor_says_what_mends_a_handler_whose_code_changed(make_shop: ShopFactory) -> None:
    """Restate's 570, as it really is: the replay takes another step than the journal has."""
    versions = ["old"]

    async def changing(
        ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]
    ) -> None:
        if versions[-1] == "new":
            await ctx.run_typed("a step of the new code", lambda: "x")
        await callbacks.call(ctx, cook, body)

    async with (
        make_shop(changing) as shop,
        Introspection(shop.settings.restate) as introspection,
        asyncio.timeout(90),
    ):
        await shop.order()

        async def suspended() -> PendingTask | None:
            return next((each for each in await shop.tasks(1) if each.invocation.status == "suspended"), None)

        task = await eventually("a handler that is suspended", suspended)
        versions.append("new")
        record = await read_task_record(lambda at: kafka.find_record(shop.settings.kafka, at), task)
        token = Keyring.insecure().verify(record.headers.token, shop.settings.keys.audience)
        await shop.ingress.resolve(token.awakeable_id, {})

        async def found() -> Finding | None:
            said = await findings_of(shop, introspection, shop.cook.topic)
            return next((each for each in said if f"of {shop.service}/order cannot go on" in each.sentence), None)

        finding = await eventually("the finding", found)
    assert "570 Journal mismatch" in finding.sentence
    assert finding.remedy.startswith("its code takes other steps than when it began: serve the earlier code"), finding


async def test_the_doctor_says_nothing_of_failures_that_are_over(make_shop: ShopFactory) -> None:
    """The handler failed twice and waits since: it takes a result."""
    runs = count(1)

    async def fail_twice(
        ctx: restate.Context, callbacks: Callbacks, cook: TaskType[Any, Any], body: dict[str, Any]
    ) -> None:
        handle = await callbacks.start(ctx, cook, body)
        if next(runs) <= 2:
            raise BrokenPipeError("broken pipe")
        await handle.result()

    async with (
        make_shop(fail_twice) as shop,
        Introspection(shop.settings.restate) as introspection,
        asyncio.timeout(90),
    ):
        await shop.order()
        [task] = await shop.tasks(1)

        async def waits() -> Finding | None:
            said = [
                each for each in await findings_of(shop, introspection, task.task_id) if each.subject == "invocation"
            ]
            return next((each for each in said if each.severity is Severity.OK), None)

        finding = await eventually("a handler that waits", waits)
    assert "broken pipe" not in finding.sentence


async def test_a_stopped_service_is_one_problem(make_shop: ShopFactory) -> None:
    """All that it serves gives no answer, for one reason, which Restate has."""
    async with make_shop(call, heartbeat_every=HOUR) as shop, asyncio.timeout(60):
        await shop.order()
        [task] = await shop.tasks(1)
    async with Introspection(shop.settings.restate) as introspection, asyncio.timeout(60):
        said = await findings_of(shop, introspection, task.task_id)
    assert [each.subject for each in said if each.severity is Severity.PROBLEM] == ["services", "bridges", "workers"]
    [services] = [each for each in said if each.subject == "services"]
    assert "Connection refused" in services.sentence
    assert services.sentence.endswith(f"{shop.settings.services.monitor} and {shop.settings.services.notifier}")
    assert services.remedy.startswith("start the service there")
