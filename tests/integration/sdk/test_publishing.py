"""How a task gets to Kafka, and what the handler is told when it does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import restate

from kallback.protocol import KafkaUnavailableError, TaskHeaders, TaskType

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration


async def sent(world: Any, task_type: Any = None, request: Any = None, **options: Any) -> dict[str, Any]:
    """What a handler gets that has a task done."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        task = world.callbacks.call(ctx, task_type or world.prepare, request or world.Order("x"), **options)
        return await world.outcome(task)

    async with world.invoked(run) as invocation, asyncio.timeout(60):
        return await invocation.result()


async def test_a_missing_topic_names_the_command(world: Any) -> None:
    """A topic that does not exist is terminal at once, and the sentence says how to make it."""
    nowhere = TaskType("nowhere", world.Order, world.Prepared, topic="kallback-nowhere")
    got = await sent(world, nowhere)
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 500, "urn:kallback:missing-topic")
    assert "kallback topics create" in got["message"]
    assert "kallback-nowhere" in got["message"]


async def test_a_request_too_large_is_terminal(world: Any) -> None:
    """A request over the topic's limit (1 MiB by default) ends the handler's wait at once."""
    got = await sent(world, request=world.Order("x" * 2_000_000))
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 413, "urn:kallback:record-too-large")


async def test_a_request_of_another_type_is_terminal(world: Any) -> None:
    """A request that is not of the declared type is refused before anything is sent."""
    got = await sent(world, request={"dish": "x"})
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 400, "urn:kallback:unencodable-request")


async def test_a_key_that_utf8_cannot_carry_is_terminal(world: Any) -> None:
    """A lone surrogate, as JSON can smuggle in, is refused and not tried for ever."""
    assert (await sent(world, key="\ud800"))["kind"] == "TaskNotSent"


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_timeout_in_the_past_is_terminal(world: Any, seconds: int) -> None:
    """A timeout that is not longer than 0 is a mistake, and is said at once."""
    got = await sent(world, timeout=timedelta(seconds=seconds))
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 400, "urn:kallback:invalid-timeout")


async def test_kafka_away_until_the_deadline(make_world: Any) -> None:
    """Publishing is tried until the deadline; then the sentence has Kafka's last word."""

    async def away(_record: OutgoingRecord, _send: Any) -> Position:
        raise KafkaUnavailableError("no broker answers at nowhere:9092")

    async with make_world(away) as world:
        got = await sent(world, timeout=timedelta(seconds=2))
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 503, "urn:kallback:kafka-unavailable")
    assert "no broker answers at nowhere:9092" in got["message"]


async def test_the_producer_is_made_at_the_first_task(make_world: Any) -> None:
    """Without a given producer the first task connects to Kafka; nothing was started before."""
    async with make_world(producer=None) as world:

        async def run(ctx: restate.Context) -> str:
            return (await world.callbacks.call(ctx, world.prepare, world.Order("x"))).shelf

        async with world.invoked(run) as invocation:
            await world.complete(await world.task(), b'{"shelf": "B3"}')
            assert await invocation.result() == "B3"


async def test_a_real_wrong_address(site: Any, make_world: Any) -> None:
    """With a broker address that nobody listens on, the deadline holds."""
    nowhere = replace(site.settings.kafka, bootstrap_servers="127.0.0.1:1", delivery_timeout=1.0)
    async with make_world(producer=None, settings=replace(site.settings, kafka=nowhere)) as world:
        got = await sent(world, timeout=timedelta(seconds=1))
    assert (got["kind"], got["code"]) == ("TaskNotSent", 503)


async def test_kafka_comes_back(make_world: Any) -> None:
    """A task that Kafka did not take is published when it does, by a handler that waits durably, not by retries."""
    tries = 0

    async def away_at_first(record: OutgoingRecord, send: Any) -> Position:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise KafkaUnavailableError("no broker answers")
        return await send(record)

    async with make_world(away_at_first) as world:

        async def run(ctx: restate.Context) -> str:
            return (await world.callbacks.call(ctx, world.prepare, world.Order("x"))).shelf

        async with world.invoked(run) as invocation:
            task = await world.task()
            row = await world.admin.invocation(invocation.id)
            await world.complete(task, b'{"shelf": "B3"}')
            assert await invocation.result() == "B3"
    assert row["retry_count"] <= 1
    assert not row.get("last_failure")


@pytest.mark.parametrize("error", [KafkaUnavailableError("no ack"), RuntimeError("died")], ids=["unsure", "died"])
async def test_copies_are_byte_identical(make_world: Any, error: Exception) -> None:
    """A publication whose acknowledgement is lost is repeated, byte for byte."""
    tries = 0

    async def lose_the_first_ack(record: OutgoingRecord, send: Any) -> Position:
        nonlocal tries
        tries += 1
        position = await send(record)
        if tries == 1:
            raise error
        return position

    async with make_world(lose_the_first_ack) as world:

        async def run(ctx: restate.Context) -> str:
            return (await world.callbacks.call(ctx, world.prepare, world.Order("x"))).shelf

        async with world.invoked(run) as invocation:
            first, second = await world.task(), await world.task()
            await world.complete(first, b'{"shelf": "B3"}')
            assert await invocation.result() == "B3"
    assert (first.key, first.value, first.headers) == (second.key, second.value, second.headers)
    assert first.offset != second.offset
    assert TaskHeaders.decode(second.headers).attempt == 1


async def test_a_defect_in_the_step_is_terminal_after_a_few_tries(make_world: Any) -> None:
    """An error that nobody foresaw does not use up the invocation's retries."""

    async def broken(_record: OutgoingRecord, _send: Any) -> Position:
        raise RuntimeError("a defect")

    async with make_world(broken) as world:
        got = await sent(world)
    assert (got["kind"], got["type"]) == ("TaskNotSent", "urn:kallback:unexpected-error")
    assert "a defect" in got["message"]
