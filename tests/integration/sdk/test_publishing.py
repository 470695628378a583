"""How a task gets to Kafka, and what the handler is told when it does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Order, Prepared, SdkEnv, SdkServers, Send

from kallback.protocol import KafkaUnavailableError, TaskHeaders, TaskType

if TYPE_CHECKING:
    from kallback.kafka import OutgoingRecord, Position

pytestmark = pytest.mark.integration


async def sent(env: SdkEnv, task_type: Any = None, request: Any = None, **options: Any) -> dict[str, Any]:
    """What a handler gets that has a task done."""

    async def run(ctx: restate.Context) -> dict[str, Any]:
        task = env.callbacks.call(ctx, task_type or env.prepare, request or Order("x"), **options)
        return await env.outcome(task)

    async with env.invoked(run) as invocation, asyncio.timeout(60):
        got: dict[str, Any] = await invocation.result()
    return got


async def test_a_missing_topic_names_the_command(env: SdkEnv) -> None:
    """A topic that does not exist is terminal at once, and the sentence says how to make it."""
    nowhere = TaskType("nowhere", Order, Prepared, topic="kallback-nowhere")
    got = await sent(env, nowhere)
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 500, "urn:kallback:missing-topic")
    assert "kallback topics create" in got["message"]
    assert "kallback-nowhere" in got["message"]


async def test_a_request_too_large_is_terminal(env: SdkEnv) -> None:
    """A request over the topic's limit (1 MiB by default) ends the handler's wait at once."""
    got = await sent(env, request=Order("x" * 2_000_000))
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 413, "urn:kallback:record-too-large")


async def test_a_request_of_another_type_is_terminal(env: SdkEnv) -> None:
    """A request that is not of the declared type is refused before anything is sent."""
    got = await sent(env, request={"dish": "x"})
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 400, "urn:kallback:unencodable-request")


async def test_a_key_that_utf8_cannot_carry_is_terminal(env: SdkEnv) -> None:
    """A lone surrogate, as JSON can smuggle in, is refused and not tried for ever."""
    assert (await sent(env, key="\ud800"))["kind"] == "TaskNotSent"


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_timeout_in_the_past_is_terminal(env: SdkEnv, seconds: int) -> None:
    """A timeout that is not longer than 0 is a mistake, and is said at once."""
    got = await sent(env, timeout=timedelta(seconds=seconds))
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 400, "urn:kallback:invalid-timeout")


async def test_kafka_away_until_the_deadline(make_env: EnvFactory) -> None:
    """Publishing is tried until the deadline; then the sentence has Kafka's last word."""

    async def away(_record: OutgoingRecord, _send: Any) -> Position:
        raise KafkaUnavailableError("no broker answers at nowhere:9092")

    async with make_env(away) as env:
        got = await sent(env, timeout=timedelta(seconds=2))
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 503, "urn:kallback:kafka-unavailable")
    assert "no broker answers at nowhere:9092" in got["message"]


async def test_the_producer_is_made_at_the_first_task(make_env: EnvFactory) -> None:
    """Without a given producer the first task connects to Kafka; nothing was started before."""
    async with make_env(producer=None) as env:

        async def run(ctx: restate.Context) -> str:
            return (await env.callbacks.call(ctx, env.prepare, Order("x"))).shelf

        async with env.invoked(run) as invocation:
            await env.complete(await env.task(), b'{"shelf": "B3"}')
            assert await invocation.result() == "B3"


async def test_a_real_wrong_address(servers: SdkServers, make_env: EnvFactory) -> None:
    """With a broker address that nobody listens on, the deadline holds."""
    nowhere = replace(servers.settings.kafka, bootstrap_servers="127.0.0.1:1", delivery_timeout=1.0)
    async with make_env(producer=None, settings=replace(servers.settings, kafka=nowhere)) as env:
        got = await sent(env, timeout=timedelta(seconds=1))
    assert (got["kind"], got["code"]) == ("TaskNotSent", 503)


async def test_kafka_comes_back(make_env: EnvFactory) -> None:
    """A task that Kafka did not take is published when it does, by a handler that waits durably, not by retries."""
    tries = 0

    async def away_at_first(record: OutgoingRecord, send: Send) -> Position:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise KafkaUnavailableError("no broker answers")
        return await send(record)

    async with make_env(away_at_first) as env:

        async def run(ctx: restate.Context) -> str:
            return (await env.callbacks.call(ctx, env.prepare, Order("x"))).shelf

        async with env.invoked(run) as invocation:
            task = await env.task()
            row = await env.admin.invocation(invocation.id)
            await env.complete(task, b'{"shelf": "B3"}')
            assert await invocation.result() == "B3"
    assert row is not None
    assert row["retry_count"] <= 1
    assert not row.get("last_failure")


@pytest.mark.parametrize("error", [KafkaUnavailableError("no ack"), RuntimeError("died")], ids=["unsure", "died"])
async def test_copies_are_byte_identical(make_env: EnvFactory, error: Exception) -> None:
    """A publication whose acknowledgement is lost is repeated, byte for byte."""
    tries = 0

    async def lose_the_first_ack(record: OutgoingRecord, send: Send) -> Position:
        nonlocal tries
        tries += 1
        position = await send(record)
        if tries == 1:
            raise error
        return position

    async with make_env(lose_the_first_ack) as env:

        async def run(ctx: restate.Context) -> str:
            return (await env.callbacks.call(ctx, env.prepare, Order("x"))).shelf

        async with env.invoked(run) as invocation:
            first, second = await env.task(), await env.task()
            await env.complete(first, b'{"shelf": "B3"}')
            assert await invocation.result() == "B3"
    assert (first.key, first.value, first.headers) == (second.key, second.value, second.headers)
    assert first.offset != second.offset
    assert TaskHeaders.decode(second.headers).attempt == 1


async def test_a_defect_in_the_step_is_terminal_after_a_few_tries(make_env: EnvFactory) -> None:
    """An error that nobody foresaw does not use up the invocation's retries."""

    async def broken(_record: OutgoingRecord, _send: Any) -> Position:
        raise RuntimeError("a defect")

    async with make_env(broken) as env:
        got = await sent(env)
    assert (got["kind"], got["type"]) == ("TaskNotSent", "urn:kallback:unexpected-error")
    assert "a defect" in got["message"]
