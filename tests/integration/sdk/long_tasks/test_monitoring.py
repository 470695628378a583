"""Attempts that nobody starts, and attempts that are not heard of any more."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import restate
from tests.integration.sdk.environment import EnvFactory, Order, SdkEnv, SdkServers
from tests.integration.sdk.long_tasks.bridge import SimulatedBridge

from kallback.kafka import AiokafkaReader, Record
from kallback.protocol import Attempt, CancelReason, Heard, Problem, RetryPolicy, Signal, TaskHeaders
from kallback.protocol.long_tasks.hand_backs import hand_back
from kallback.protocol.long_tasks.partitions import partitions_text
from kallback.sdk import TaskError
from kallback.settings import Settings
from kallback.testing import TopicFactory, eventually

pytestmark = pytest.mark.integration

BEAT = timedelta(milliseconds=100)
LIMIT = 0.3
SOON = RetryPolicy(attempts=3, first_delay=timedelta(milliseconds=20))


def calling(env: SdkEnv, *, key: str | None = None, **limits: Any) -> Any:
    """A handler that has a dish prepared by a task type with these limits."""
    kind = env.limited(**limits)

    async def run(ctx: restate.Context) -> dict[str, Any]:
        handle = await env.callbacks.start(ctx, kind, Order("x"), key=key)
        try:
            return {"value": (await handle.result()).shelf, "attempt": handle.attempt}
        except restate.TerminalError as error:
            told = dict(error.problem.extensions) if isinstance(error, TaskError) else None
            found = {"type": getattr(error, "type", None), "code": error.status_code, "message": error.message}
            return found | {"extensions": told}

    return run


def id_of(task: Any) -> Any:
    """The task id of a record."""
    return TaskHeaders.decode(task.headers).task_id


async def test_a_record_says_what_is_expected_of_its_worker(env: SdkEnv) -> None:
    """Until when to start, where to and how often to report; a plain type asks for none of it."""
    async with env.invoked(calling(env, heartbeat_every=BEAT, start_timeout=timedelta(seconds=9))) as invocation:
        task = await env.task()
        await env.complete(task, b'{"shelf": "B3"}')
        await invocation.result()
    async with env.invoked(calling(env)) as invocation:
        plain = await env.task()
        await env.complete(plain, b'{"shelf": "B3"}')
        await invocation.result()
    headers = TaskHeaders.decode(task.headers)
    assert (headers.progress_to, headers.heartbeat_every_ms) == (env.settings.topics.progress, 100)
    assert headers.deadline_ms is not None
    assert headers.start_by_ms is not None
    assert headers.deadline_ms - headers.start_by_ms == 51_000
    assert not {"kallback-start-by", "kallback-progress-to", "kallback-heartbeat-every"} & set(dict(plain.headers))


async def test_an_attempt_that_nobody_starts_is_followed_by_another(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """Once the marks have passed the time until which it was to be started."""
    limits: dict[str, Any] = {"start_timeout": timedelta(seconds=0.3), "retry": SOON}
    async with env.invoked(calling(env, **limits)) as invocation, bridge.reporting():
        first = await env.task()
        cancel = await env.cancel_record()
        second = await env.task()
        await env.complete(second, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 2
    assert (cancel.task_id, cancel.reason, cancel.attempt) == (id_of(first), CancelReason.SUPERSEDED, 1)


async def test_without_a_policy_it_is_the_tasks_failure(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """The sentence says what to do."""
    async with env.invoked(calling(env, start_timeout=timedelta(seconds=0.3))) as invocation, bridge.reporting():
        await env.task()
        got = await invocation.result()
    assert (got["type"], got["code"]) == ("urn:kallback:not-started", 504)
    assert "start more workers" in got["message"]


async def test_a_lost_attempts_details_reach_the_next_one(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """Heartbeats stop, marks go on: the next attempt gets the last details, byte for byte."""
    async with env.invoked(calling(env, heartbeat_every=BEAT, retry=SOON)) as invocation, bridge.reporting():
        first = await env.task()
        await bridge.hears(first, Signal.STARTED)
        await bridge.hears(first, details=b'{"done": 1.10}')
        cancel = await env.cancel_record()
        second = await env.task()
        await env.complete(second, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 2
    assert (cancel.reason, cancel.attempt) == (CancelReason.SUPERSEDED, 1)
    assert TaskHeaders.decode(first.headers).last_details == b""
    assert TaskHeaders.decode(second.headers).last_details == b'{"done": 1.10}'


async def test_what_an_attempt_ended_with_reaches_all_that_follow(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """Its heartbeat comes too late; the next attempt says nothing and is lost. The handler does not see the details."""
    retry = RetryPolicy(attempts=3, first_delay=timedelta(0))
    async with env.invoked(calling(env, heartbeat_every=BEAT, retry=retry)) as invocation, bridge.reporting():
        first = await env.task()
        await env.fail(first, Problem("OvenBroken", 503, extensions={"last_details": '{"done": 1.10}', "shelf": 3}))
        second = await env.task()
        await bridge.hears(first, details=b'{"done": 1}')
        await bridge.hears(second, Signal.STARTED)
        third = await env.task()
        await env.fail(third, Problem("OvenBroken", 503, extensions={"last_details": '{"done": 2}', "shelf": 3}))
        got = await invocation.result()
    assert [TaskHeaders.decode(each.headers).last_details for each in (second, third)] == [b'{"done": 1.10}'] * 2
    assert (got["type"], got["extensions"]) == ("OvenBroken", {"shelf": 3})


async def test_an_attempt_that_is_heard_of_lives(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """For as long as it likes, far beyond the limit."""
    async with env.invoked(calling(env, heartbeat_every=BEAT)) as invocation, bridge.reporting():
        task = await env.task()
        for _ in range(20):
            await bridge.hears(task)
            await asyncio.sleep(0.08)
        await env.complete(task, b'{"shelf": "B3"}')
        assert await invocation.result() == {"value": "B3", "attempt": 1}


async def test_while_the_bridge_is_away_nothing_is_failed(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """Several limits pass; the alarm sets itself again; when the bridge is back, what it reads counts."""
    async with env.invoked(calling(env, heartbeat_every=BEAT)) as invocation:
        task = await env.task()
        await bridge.read()
        await bridge.hears(task, Signal.STARTED)
        await asyncio.sleep(6 * LIMIT)
        assert await bridge.alarms(id_of(task)) >= 1
        await bridge.hears(task)  # it lay in Kafka all the time
        async with bridge.reporting():
            await asyncio.sleep(0.2)
            await env.complete(task, b'{"shelf": "B3"}')
            assert await invocation.result() == {"value": "B3", "attempt": 1}


async def test_when_the_bridge_is_back_a_lost_attempt_is_found(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """The alarm that set itself again finds it."""
    async with env.invoked(calling(env, heartbeat_every=BEAT)) as invocation:
        await bridge.hears(await env.task(), Signal.STARTED)
        await asyncio.sleep(4 * LIMIT)
        async with bridge.reporting():
            assert (await invocation.result())["type"] == "urn:kallback:heartbeat-lost"


@pytest.mark.parametrize("missing", ["a topic", "a partition"])
async def test_what_was_not_read_may_hold_a_heartbeat(env: SdkEnv, bridge: SimulatedBridge, missing: str) -> None:
    """Results and progress must both have passed, and all partitions of each."""
    async with env.invoked(calling(env, heartbeat_every=BEAT)) as invocation:
        task = await env.task()
        await bridge.hears(task, Signal.STARTED)
        for _ in range(20):
            if missing == "a topic":
                await bridge.read(topics=bridge.topics[1:])
            else:
                await bridge.read(partitions=2)
            await asyncio.sleep(0.08)
        await env.complete(task, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 1


async def test_a_heartbeat_in_the_inbox_saves_the_attempt(
    servers: SdkServers, make_env: EnvFactory, own_topics: Settings
) -> None:
    """It arrives while the alarm looks at the marks, which are past the limit: `confirm` finds it."""
    calls, heartbeats = itertools.count(), list[tuple[str, bytes]]()

    def clock() -> float:
        """At the first look after the limit, a heartbeat gets into the inbox behind the alarm."""
        if heartbeats and next(calls) == 0:
            (path, body) = heartbeats[0]
            httpx.post(path, content=body, headers={"content-type": "application/json"}).raise_for_status()
        return time.time() + 1  # ahead of the bridge's, so that the first look finds the attempt overdue

    async with make_env(settings=own_topics, clock=clock) as env:
        bridge = SimulatedBridge(env)
        async with env.invoked(calling(env, heartbeat_every=BEAT)) as invocation:
            task = await env.task()
            await bridge.hears(task, Signal.STARTED)
            late = Heard(TaskHeaders.decode(task.headers).token, Signal.HEARTBEAT, 1, bridge.now_ms() + 60_000)
            path = f"{servers.stack.ingress_url}/{env.services.monitor}/{id_of(task)}/progress/send"
            heartbeats.append((path, msgspec.json.encode(late)))
            await bridge.read(bridge.now_ms() + 30_000)
            await asyncio.sleep(4 * LIMIT)
            assert next(calls) >= 1, "no alarm went off"
            await env.complete(task, b'{"shelf": "B3"}')
            assert await invocation.result() == {"value": "B3", "attempt": 1}


async def test_an_old_attempts_heartbeat_does_not_count(env: SdkEnv, bridge: SimulatedBridge) -> None:
    """Its worker still runs, but the present attempt is not heard of: lost, and its details are no help."""
    async with env.invoked(calling(env, heartbeat_every=BEAT, retry=SOON)) as invocation, bridge.reporting():
        first = await env.task()
        await bridge.hears(first, details=b"1")
        second = await env.task()
        await bridge.hears(second, details=b"2")
        beating = asyncio.create_task(_beat(bridge, first))
        third = await env.task()
        beating.cancel()
        await env.complete(third, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == Attempt(3)
    assert TaskHeaders.decode(third.headers).last_details == b"2"


async def _beat(bridge: SimulatedBridge, task: Any) -> None:
    while True:
        await bridge.hears(task, details=b"1")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", ["completed", "failed", "timed out", "cancelled"])
async def test_nothing_is_kept_of_a_task_that_ended(env: SdkEnv, bridge: SimulatedBridge, end: str) -> None:
    """However it ended, its state is gone."""
    timeout = timedelta(seconds=0.5 if end == "timed out" else 60)
    async with env.invoked(calling(env, heartbeat_every=BEAT, timeout=timeout)) as invocation:
        task = await env.task()
        await eventually("a state", lambda: bridge.state(id_of(task)))
        if end == "completed":
            await env.complete(task, b'{"shelf": "B3"}')
        elif end == "failed":
            await env.fail(task, Problem("OvenBroken", 503, "no gas"))
        elif end == "cancelled":
            await env.admin.cancel(invocation.id)
        await bridge.gone(id_of(task))
        await bridge.hears(task)  # a heartbeat that comes after all
        await asyncio.sleep(0.2)
        assert not await bridge.state(id_of(task))


async def test_the_next_attempt_avoids_what_the_silent_worker_read(
    env: SdkEnv, bridge: SimulatedBridge, topics_factory: TopicFactory
) -> None:
    """Of four partitions it read three, as its last heartbeat says: one is left. A task with a key stays in its own."""
    topic = topics_factory("four", partitions=4)
    limits: dict[str, Any] = {"heartbeat_every": BEAT, "retry": SOON, "topic": topic}
    async with AiokafkaReader(env.settings.kafka, topic) as tasks:
        for key, allowed in ((None, 1), ("o-1", None)):
            async with env.invoked(calling(env, key=key, **limits)) as invocation, bridge.reporting():
                first = await one_of(tasks)
                others = sorted({0, 1, 2, 3} - {first.partition})
                read = partitions_text([first.partition, *others[:2]])
                await bridge.hears(first, Signal.STARTED, partitions=read)
                second = await one_of(tasks)
                assert second.partition == (first.partition if allowed is None else others[2])
                await env.complete(second, b'{"shelf": "B3"}')
                assert (await invocation.result())["attempt"] == 2


async def test_the_next_attempt_avoids_the_worker_that_handed_back_last(
    env: SdkEnv, topics_factory: TopicFactory
) -> None:
    """Two workers stop one after the other, as in two deployments; the partitions of the first have new owners."""
    topic = topics_factory("four-again", partitions=4)
    async with (
        AiokafkaReader(env.settings.kafka, topic) as tasks,
        env.invoked(calling(env, retry=SOON, topic=topic)) as invocation,
    ):
        seen: list[int] = []
        for read in ("0-1", "2-3", "0-1", "2-3"):
            task = await one_of(tasks)
            seen.append(task.partition)
            await env.fail(task, hand_back(b"", read))
        task = await one_of(tasks)
        assert [partition // 2 for partition in [*seen[1:], task.partition]] == [1, 0, 1, 0], seen
        await env.complete(task, b'{"shelf": "B3"}')
        assert (await invocation.result())["attempt"] == 5


async def one_of(tasks: AiokafkaReader) -> Record:
    """The next task record of a topic."""
    async with asyncio.timeout(60):
        while not (found := await tasks.fetch(1.0)):
            pass
    (record,) = found
    return record
