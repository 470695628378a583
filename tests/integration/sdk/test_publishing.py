"""How a task gets to Kafka, and what the handler is told when it does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import restate
from msgspec import convert
from orjson import loads
from tests.integration.sdk.environment import EnvFactory, Order, Prepared, SdkEnv, SdkServers, Send, id_and_attempt

from kallback.protocol import (
    AwakeableId,
    KafkaUnavailableError,
    MissingTopicError,
    PublishedTask,
    PublishedTasks,
    TaskHeaders,
    TaskType,
    locate_awakeable,
)
from kallback.settings import Settings
from kallback.testing import TopicFactory, eventually

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


def with_setup_timeout(servers: SdkServers, seconds: float) -> Settings:
    """Settings with another time to wait for a topic."""
    return replace(servers.settings, kafka=replace(servers.settings.kafka, setup_timeout=seconds))


async def test_a_missing_topic_names_the_command(servers: SdkServers, make_env: EnvFactory) -> None:
    """A topic that is not created in time is terminal, and the sentence says how to make it."""
    nowhere = TaskType("nowhere", Order, Prepared, topic="kallback-nowhere")
    async with make_env(settings=with_setup_timeout(servers, 1)) as env:
        got = await sent(env, nowhere)
    assert (got["kind"], got["code"], got["type"]) == ("TaskNotSent", 500, "urn:kallback:missing-topic")
    assert "kallback topics create" in got["message"]
    assert "kallback-nowhere" in got["message"]


async def published(env: SdkEnv, invocation_id: str) -> list[tuple[str, PublishedTasks]]:
    """The publishing steps in a journal: their names, and what they left there."""
    rows = await env.servers.admin.query(f"SELECT * FROM sys_journal WHERE id = '{invocation_id}' ORDER BY index")
    commands = {
        run["completion_id"]: row["name"]
        for row in rows
        if row["entry_type"] == "Command: Run" and (run := loads(row["entry_json"])["Command"]["Run"])
    }
    results = [loads(row["entry_json"]) for row in rows if row["entry_type"] == "Notification: Run"]
    runs = [result["Notification"]["Completion"]["Run"] for result in results]
    steps = {commands[run["completion_id"]]: bytes(run["result"]["Success"]) for run in runs}
    outcomes = {name: loads(value)["sent"] for name, value in steps.items() if name.startswith("publish ")}
    return [(name, convert(sent, PublishedTasks)) for name, sent in outcomes.items()]


async def test_the_journal_names_the_task_and_says_where_its_record_is(env: SdkEnv) -> None:
    """People find it in Restate's own tools, and `kallback tasks` finds its record."""

    async def run(ctx: restate.Context) -> None:
        await env.callbacks.call(ctx, env.prepare, Order("x"))

    async with env.invoked(run) as invocation, asyncio.timeout(60):
        task = await env.task()
        [(name, sent)] = await eventually("the step's result", lambda: published(env, invocation.id))
    headers = TaskHeaders.decode(task.headers)
    signal = locate_awakeable(AwakeableId(env.awakeable_of(task))).signal_index
    place = PublishedTask(headers.task_id, headers.attempt, signal, task.partition, task.offset)
    assert name == f"publish {env.prepare.name} {headers.task_id}"
    assert (sent.task_type, sent.topic, sent.tasks) == (env.prepare.name, env.prepare.topic, [place])
    assert sent.deadline_ms == headers.deadline_ms


async def test_a_result_that_comes_soon_spares_the_entry_of_its_acknowledgement(
    env: SdkEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that has its result and returns needs no word of where its task was."""
    monkeypatch.setattr("kallback.sdk.journal.acknowledgement.LONGEST_S", 3600.0)

    async def run(ctx: restate.Context) -> str:
        return (await env.callbacks.call(ctx, env.prepare, Order("x"), timeout=None)).shelf

    async with env.invoked(run) as invocation, asyncio.timeout(60):
        await env.complete(await env.task(), b'{"shelf": "B3"}')
        assert await invocation.result() == "B3"
        assert await published(env, invocation.id) == []


async def test_tasks_that_start_together_have_their_places_in_one_entry(env: SdkEnv) -> None:
    """Each can be found, although the step's name has no place for a thousand ids."""

    async def run(ctx: restate.Context) -> None:
        await env.callbacks.gather(await env.callbacks.start_many(ctx, env.prepare, [Order("x"), Order("y")]))

    async with env.invoked(run) as invocation, asyncio.timeout(60):
        tasks = [await env.task(), await env.task()]
        [(name, sent)] = await eventually("the step's result", lambda: published(env, invocation.id))
    assert name == f"publish 2 {env.prepare.name}"
    places = {(each.task_id, each.partition, each.offset) for each in sent.tasks}
    assert places == {(id_and_attempt(task)[0], task.partition, task.offset) for task in tasks}
    assert len({each.signal for each in sent.tasks}) == 2


async def test_a_topic_that_is_created_meanwhile_is_used(env: SdkEnv, topics_factory: TopicFactory) -> None:
    """A service may be deployed before its topics."""
    late = TaskType(topic := f"late-{uuid4().hex[:8]}", Order, Prepared, timeout=timedelta(seconds=50), topic=topic)

    async def run(ctx: restate.Context) -> str:
        await env.callbacks.start(ctx, late, Order("x"))
        return "sent"

    async with env.invoked(run) as invocation, asyncio.timeout(60):
        await eventually("a first try", lambda: waits_for_setup(env, invocation.id))
        topics_factory.make([topic])
        assert await invocation.result() == "sent"


async def test_a_handler_that_is_retried_does_not_wait_anew(servers: SdkServers, make_env: EnvFactory) -> None:
    """The limit is one durable timer, however often the handler is started again."""
    tries = 0

    async def missing(record: OutgoingRecord, _send: Send) -> Position:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise RuntimeError("the process died")
        raise MissingTopicError(f"topic {record.topic} does not exist")

    async with make_env(missing, settings=with_setup_timeout(servers, 4)) as env:

        async def run(ctx: restate.Context) -> tuple[int, dict[str, Any]]:
            got = await env.outcome(env.callbacks.call(ctx, env.prepare, Order("x")))
            return await waits_for_setup(env, ctx.request().id), got

        async with env.invoked(run) as invocation, asyncio.timeout(60):
            timers, got = await invocation.result()
    assert tries > 2
    assert (timers, got["kind"], got["type"]) == (1, "TaskNotSent", "urn:kallback:missing-topic")


async def waits_for_setup(env: SdkEnv, invocation_id: str) -> int:
    """How many timers for a topic or a permission are in the journal of an invocation."""
    rows = await env.admin.query(f"SELECT name FROM sys_journal WHERE id = '{invocation_id}'")
    return sum(str(row.get("name")).startswith("wait for a topic or a permission") for row in rows)


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


async def test_a_result_counts_although_no_acknowledgement_came(make_env: EnvFactory) -> None:
    """The record was written before the connection to Kafka was lost, for longer than the task takes."""
    tries = 0

    async def lost(record: OutgoingRecord, send: Send) -> Position:
        nonlocal tries
        tries += 1
        if tries == 1:
            await send(record)
        raise KafkaUnavailableError("no broker answers")

    async with make_env(lost) as env:

        async def run(ctx: restate.Context) -> str:
            return (await env.callbacks.call(ctx, env.prepare, Order("x"))).shelf

        async with env.invoked(run) as invocation:
            await env.complete(await env.task(), b'{"shelf": "B3"}')
            assert await invocation.result() == "B3"


async def test_a_defect_in_the_step_is_terminal_after_a_few_tries(make_env: EnvFactory) -> None:
    """An error that nobody foresaw does not use up the invocation's retries."""

    async def broken(_record: OutgoingRecord, _send: Any) -> Position:
        raise RuntimeError("a defect")

    async with make_env(broken) as env:
        got = await sent(env)
    assert (got["kind"], got["type"]) == ("TaskNotSent", "urn:kallback:unexpected-error")
    assert "a defect" in got["message"]
