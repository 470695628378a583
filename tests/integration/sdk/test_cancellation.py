"""What happens when the invocation is cancelled: the workers are told, and Restate's own 409 goes on."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import restate

from kallback.protocol import Cancel, CancelReason, KafkaUnavailableError, TaskHeaders
from kallback.sdk.journal.publish import CANCEL_LIMIT
from kallback.settings import KafkaSettings
from kallback.testing import RestateError, TopicFactory, start_kafka

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration


def calling(world: Any) -> Any:
    """A handler that has a dish prepared."""

    async def run(ctx: restate.Context) -> str:
        return (await world.callbacks.call(ctx, world.prepare, world.Order("x"))).shelf

    return run


async def cancelled(world: Any, invocation: Any) -> None:
    """Cancel the invocation and see that it ends as cancelled."""
    await world.admin.cancel(invocation.id)
    with pytest.raises(RestateError, match="cancelled") as caught:
        await invocation.result()
    assert caught.value.status == 409


async def test_cancelled_while_it_waits(world: Any) -> None:
    """A waiting handler publishes a cancel and ends with 409."""
    async with world.invoked(calling(world)) as invocation:
        task_id = TaskHeaders.decode((await world.task()).headers).task_id
        await cancelled(world, invocation)
        cancel = await world.cancel_record()
    assert (cancel.task_id, cancel.reason, cancel.attempt) == (task_id, CancelReason.CANCELLED, None)


async def test_cancelled_while_it_publishes(make_world: Any) -> None:
    """A handler whose publication hangs publishes a cancel as well: the record may still go out."""
    cancels, publishing = asyncio.Queue[Cancel](), asyncio.Event()

    async def hang_on_tasks(record: OutgoingRecord, send: Any) -> Position:
        if record.topic.endswith("control"):
            cancels.put_nowait(Cancel.decode(record.value))
            return await send(record)
        publishing.set()
        return await asyncio.get_running_loop().create_future()

    async with make_world(hang_on_tasks) as world, world.invoked(calling(world)) as invocation:
        await asyncio.wait_for(publishing.wait(), 10)
        await cancelled(world, invocation)
        assert (await asyncio.wait_for(cancels.get(), 10)).reason is CancelReason.CANCELLED


async def test_cancelled_between_two_tries_to_publish(make_world: Any) -> None:
    """A handler that waits for Kafka to come back hears its cancellation at once."""
    tried = asyncio.Event()

    async def away(_record: OutgoingRecord, _send: Any) -> Position:
        tried.set()
        raise KafkaUnavailableError("no broker answers")

    async with make_world(away) as world, world.invoked(calling(world)) as invocation:
        await asyncio.wait_for(tried.wait(), 10)
        await cancelled(world, invocation)


async def test_cancelled_while_kafka_hangs(make_world: Any) -> None:
    """With a broker that takes nothing the 409 still comes, within the limit."""

    async def hang_on_cancel(record: OutgoingRecord, send: Any) -> Position:
        if record.topic.endswith("control"):
            await asyncio.get_running_loop().create_future()
        return await send(record)

    async with make_world(hang_on_cancel) as world, world.invoked(calling(world)) as invocation:
        await world.task()
        begun = time.monotonic()
        await cancelled(world, invocation)
        assert time.monotonic() - begun < CANCEL_LIMIT + 5


async def test_a_second_cancellation_ends_the_telling(make_world: Any) -> None:
    """Who cancels twice waits for no broker."""
    telling = asyncio.Event()

    async def hang_on_cancel(record: OutgoingRecord, send: Any) -> Position:
        if record.topic.endswith("control"):
            telling.set()
            await asyncio.get_running_loop().create_future()
        return await send(record)

    async with make_world(hang_on_cancel) as world, world.invoked(calling(world)) as invocation:
        await world.task()
        await world.admin.cancel(invocation.id)
        await asyncio.wait_for(telling.wait(), 10)
        begun = time.monotonic()
        await cancelled(world, invocation)
        assert time.monotonic() - begun < CANCEL_LIMIT - 1


async def test_a_handler_cancels_its_own_task(world: Any) -> None:
    """`handle.cancel()` tells the workers; `result()` raises from then on."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await world.callbacks.start(ctx, world.prepare, world.Order("x"))
        await handle.cancel()
        return await world.outcome(handle.result())

    async with world.invoked(run) as invocation:
        await world.task()
        got = await invocation.result()
        cancel = await world.cancel_record()
    assert (got["kind"], got["code"]) == ("TaskCancelled", 410)
    assert cancel.reason is CancelReason.CANCELLED


async def test_a_handler_goes_on_after_its_cancellation(world: Any) -> None:
    """The 409 can be caught for compensation, and the invocation then ends as the handler likes."""

    async def run(ctx: restate.Context) -> list[Any]:
        got = await world.outcome(world.callbacks.call(ctx, world.prepare, world.Order("x")))
        return [got["kind"], got["code"], await ctx.run_typed("refund", lambda: "refunded")]

    async with world.invoked(run) as invocation:
        await world.task()
        await world.admin.cancel(invocation.id)
        assert await invocation.result() == ["TerminalError", 409, "refunded"]


async def test_cancelled_while_a_real_kafka_is_frozen(site: Any, make_world: Any) -> None:
    """A broker that stops answering after it took the task delays the 409 by seconds, no more."""
    with ExitStack() as stack:
        kafka = await asyncio.to_thread(stack.enter_context, start_kafka())
        settings = replace(site.settings, kafka=KafkaSettings(kafka.bootstrap_servers, delivery_timeout=2.0))
        topics = TopicFactory(kafka)
        topics.make([site.task_topic, settings.topics.control])
        async with make_world(producer=None, settings=settings) as world:

            async def run(ctx: restate.Context) -> str:
                handle = await world.callbacks.start(ctx, world.prepare, world.Order("x"))
                started.set()
                return (await handle.result()).shelf

            started = asyncio.Event()
            async with world.invoked(run) as invocation:
                await asyncio.wait_for(started.wait(), 20)
                kafka.pause()
                stack.callback(kafka.resume)
                async with asyncio.timeout(CANCEL_LIMIT + 5):
                    await cancelled(world, invocation)
