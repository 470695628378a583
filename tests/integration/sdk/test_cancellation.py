"""What happens when the invocation is cancelled: the workers are told, and Restate's own 409 goes on."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Invocation, Order, SdkEnv, SdkServers, Send

from kallback.protocol import Cancel, CancelReason, KafkaUnavailableError, TaskHeaders
from kallback.sdk.journal.publish import CANCEL_LIMIT
from kallback.settings import KafkaSettings
from kallback.testing import RestateError, TopicFactory, start_kafka

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration


def calling(env: SdkEnv) -> Any:
    """A handler that has a dish prepared."""

    async def run(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, env.prepare, Order("x"))).shelf

    return run


async def cancelled(env: SdkEnv, invocation: Invocation) -> None:
    """Cancel the invocation and see that it ends as cancelled."""
    await env.admin.cancel(invocation.id)
    with pytest.raises(RestateError, match="cancelled") as caught:
        await invocation.result()
    assert caught.value.status == 409


async def test_cancelled_while_it_waits(env: SdkEnv) -> None:
    """A waiting handler publishes a cancel of what it has sent, and ends with 409."""
    async with env.invoked(calling(env)) as invocation:
        task_id = TaskHeaders.decode((await env.task()).headers).task_id
        await cancelled(env, invocation)
        cancel = await env.cancel_record()
    assert (cancel.task_id, cancel.reason, cancel.attempt) == (task_id, CancelReason.CANCELLED, 1)


async def test_cancelled_while_it_publishes(make_env: EnvFactory) -> None:
    """A handler whose publication hangs publishes a cancel as well: the record may still go out."""
    cancels, publishing = asyncio.Queue[Cancel](), asyncio.Event()

    async def hang_on_tasks(record: OutgoingRecord, send: Send) -> Position:
        if record.topic.endswith("control"):
            cancels.put_nowait(Cancel.decode(record.value))
            return await send(record)
        publishing.set()
        never: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        return await never

    async with make_env(hang_on_tasks) as env, env.invoked(calling(env)) as invocation:
        await asyncio.wait_for(publishing.wait(), 60)
        await cancelled(env, invocation)
        assert (await asyncio.wait_for(cancels.get(), 60)).reason is CancelReason.CANCELLED


async def test_cancelled_between_two_tries_to_publish(make_env: EnvFactory) -> None:
    """A handler that waits for Kafka to come back hears its cancellation at once."""
    tried = asyncio.Event()

    async def away(_record: OutgoingRecord, _send: Any) -> Position:
        tried.set()
        raise KafkaUnavailableError("no broker answers")

    async with make_env(away) as env, env.invoked(calling(env)) as invocation:
        await asyncio.wait_for(tried.wait(), 60)
        await cancelled(env, invocation)


async def test_cancelled_while_kafka_hangs(make_env: EnvFactory) -> None:
    """With a broker that takes nothing the 409 still comes, within the limit."""

    async def hang_on_cancel(record: OutgoingRecord, send: Send) -> Position:
        if record.topic.endswith("control"):
            await asyncio.get_running_loop().create_future()
        return await send(record)

    async with make_env(hang_on_cancel) as env, env.invoked(calling(env)) as invocation:
        await env.task()
        async with asyncio.timeout(60):
            await cancelled(env, invocation)


async def test_a_second_cancellation_ends_the_telling(make_env: EnvFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cancels twice waits for no broker, however long the limit is."""
    monkeypatch.setattr("kallback.sdk.journal.publish.CANCEL_LIMIT", 3600.0)
    telling = asyncio.Event()

    async def hang_on_cancel(record: OutgoingRecord, send: Send) -> Position:
        if record.topic.endswith("control"):
            telling.set()
            await asyncio.get_running_loop().create_future()
        return await send(record)

    async with make_env(hang_on_cancel) as env, env.invoked(calling(env)) as invocation:
        await env.task()
        await env.admin.cancel(invocation.id)
        await asyncio.wait_for(telling.wait(), 60)
        async with asyncio.timeout(60):
            await cancelled(env, invocation)


async def test_a_handler_cancels_its_own_task(env: SdkEnv) -> None:
    """`handle.cancel()` tells the workers; `result()` raises from then on."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
        await handle.cancel()
        return await env.outcome(handle.result())

    async with env.invoked(run) as invocation:
        await env.task()
        got = await invocation.result()
        cancel = await env.cancel_record()
    assert (got["kind"], got["code"]) == ("TaskCancelled", 410)
    assert cancel.reason is CancelReason.CANCELLED


async def test_cancelled_while_the_handler_cancels_its_own_task(make_env: EnvFactory) -> None:
    """The 409 comes while `handle.cancel()` tells the workers: they are told before it is raised."""
    telling, released = asyncio.Event(), asyncio.Event()

    async def wait_on_cancel(record: OutgoingRecord, send: Send) -> Position:
        if record.topic.endswith("control"):
            telling.set()
            await released.wait()
        return await send(record)

    async with make_env(wait_on_cancel) as env:

        async def run(ctx: restate.Context) -> None:
            handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
            await handle.cancel()

        async with env.invoked(run) as invocation, asyncio.timeout(60):
            task_id = TaskHeaders.decode((await env.task()).headers).task_id
            await telling.wait()
            ended = asyncio.create_task(cancelled(env, invocation))
            await asyncio.wait([ended], timeout=1)
            released.set()
            await ended
            cancel = await env.cancel_record()
    assert (cancel.task_id, cancel.reason) == (task_id, CancelReason.CANCELLED)


async def test_a_handler_goes_on_after_its_cancellation(env: SdkEnv) -> None:
    """The 409 can be caught for compensation, and the invocation then ends as the handler likes."""

    async def run(ctx: restate.Context) -> list[Any]:
        got = await env.outcome(env.callbacks.call(ctx, env.prepare, Order("x")))
        return [got["kind"], got["code"], await ctx.run_typed("refund", lambda: "refunded")]

    async with env.invoked(run) as invocation:
        await env.task()
        await env.admin.cancel(invocation.id)
        assert await invocation.result() == ["TerminalError", 409, "refunded"]


async def test_cancelled_while_a_real_kafka_is_frozen(servers: SdkServers, make_env: EnvFactory) -> None:
    """A broker that stops answering after it took the task delays the 409 by seconds, no more."""
    with ExitStack() as stack:
        kafka = await asyncio.to_thread(stack.enter_context, start_kafka())
        settings = replace(servers.settings, kafka=KafkaSettings(kafka.bootstrap_servers, delivery_timeout=2.0))
        topics = TopicFactory(kafka)
        topics.make([servers.task_topic, settings.topics.control])
        async with make_env(producer=None, settings=settings) as env:

            async def run(ctx: restate.Context) -> str:
                handle = await env.callbacks.start(ctx, env.prepare, Order("x"))
                started.set()
                return (await handle.result()).shelf

            started = asyncio.Event()
            async with env.invoked(run) as invocation:
                await asyncio.wait_for(started.wait(), 60)
                kafka.pause()
                stack.callback(kafka.resume)
                async with asyncio.timeout(CANCEL_LIMIT + 5):
                    await cancelled(env, invocation)
