"""What happens when nobody answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Order, SdkEnv, Send

from kallback.protocol import CancelReason, TaskHeaders
from kallback.sdk import TaskTimedOut

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration


async def test_no_answer_is_a_timeout_and_the_workers_are_told(env: SdkEnv) -> None:
    """When the time is over the handler gets `TaskTimedOut`, and a cancel is published."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        return await env.outcome((await env.start_overdue(ctx)).result())

    async with env.invoked(run) as invocation:
        task_id = TaskHeaders.decode((await env.overdue_task()).headers).task_id
        got = await invocation.result()
        cancel = await env.cancel_record()
    assert (got["kind"], got["code"], got["type"]) == ("TaskTimedOut", 504, "urn:kallback:timed-out")
    assert (cancel.task_id, cancel.reason, cancel.attempt) == (task_id, CancelReason.TIMED_OUT, None)


async def test_asking_again_after_a_timeout_is_the_same_error(env: SdkEnv) -> None:
    """A handle that timed out stays so, and tells the workers once."""

    async def run(ctx: restate.Context) -> list[dict[str, Any]]:
        handle = await env.start_overdue(ctx)
        return [await env.outcome(handle.result()), await env.outcome(handle.result())]

    async with env.invoked(run) as invocation:
        await env.overdue_task()
        first, second = await invocation.result()
        await env.cancel_record()
        assert first == second
        assert await env.has_no_cancel()


async def test_a_result_after_the_timeout_is_dropped(env: SdkEnv) -> None:
    """The timer is the authority: a result that comes later changes nothing."""

    async def run(ctx: restate.Context) -> list[dict[str, Any]]:
        handle = await env.start_overdue(ctx)
        first = await env.outcome(handle.result())
        await restate.wait_completed(handle.future)
        return [first, await env.outcome(handle.result())]

    async with env.invoked(run) as invocation:
        task = await env.overdue_task()
        await env.cancel_record()
        await env.complete(task, b'{"shelf": "B3"}')
        first, second = await invocation.result()
    assert first == second
    assert first["kind"] == "TaskTimedOut"


async def test_none_waits_for_ever(env: SdkEnv) -> None:
    """`timeout=None`: no timer in the journal, no deadline in the headers."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await env.callbacks.start(ctx, env.prepare, Order("x"), timeout=None)
        return {"deadline": handle.deadline, **await env.outcome(handle.result())}

    async with env.invoked(run) as invocation:
        task = await env.task()
        sql = f"SELECT entry_type FROM sys_journal WHERE id = '{invocation.id}'"
        entries = {row["entry_type"] for row in await env.admin.query(sql)}
        await env.complete(task, b'{"shelf": "B3"}')
        assert await invocation.result() == {"deadline": None, "value": {"shelf": "B3"}}
    assert TaskHeaders.decode(task.headers).deadline_ms is None
    assert not any("Sleep" in entry for entry in entries), entries
    assert any("Run" in entry for entry in entries), entries


async def test_the_handle_knows_its_deadline(env: SdkEnv) -> None:
    """`handle.deadline` is what the headers say."""

    async def run(ctx: restate.Context) -> str:
        handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
        await handle.result()
        return str(handle.deadline and handle.deadline.timestamp())

    async with env.invoked(run) as invocation:
        task = await env.task()
        await env.complete(task, b'{"shelf": "B3"}')
        deadline = datetime.fromtimestamp(float(await invocation.result()), UTC)
    assert int(deadline.timestamp() * 1000) == TaskHeaders.decode(task.headers).deadline_ms


async def test_a_timeout_is_raised_although_kafka_hangs(make_env: EnvFactory) -> None:
    """Telling the workers is bounded: a broker that takes nothing delays the error by seconds, never more."""

    async def hang_on_cancel(record: OutgoingRecord, send: Send) -> Position:
        if record.topic.endswith("control"):
            await asyncio.Event().wait()
        return await send(record)

    async with make_env(hang_on_cancel) as env:

        async def run(ctx: restate.Context) -> str:
            handle = await env.start_overdue(ctx)
            try:
                await handle.result()
            except TaskTimedOut as error:
                return error.message
            return "completed"

        async with env.invoked(run) as invocation, asyncio.timeout(60):
            assert "before its deadline" in await invocation.result()
