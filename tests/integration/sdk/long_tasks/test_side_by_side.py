"""Several tasks of one handler: while one of them waits for Kafka, the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import restate
from confluent_kafka.admin import AdminClient
from tests.integration.sdk.environment import EnvFactory, Order, Prepared, SdkEnv, Send, TaskRecord
from tests.integration.sdk.long_tasks.test_replayed import sleepy, suspended

from kallback.kafka import OutgoingRecord, Position
from kallback.protocol import (
    Cancel,
    CancelReason,
    KafkaUnavailableError,
    Problem,
    RetryPolicy,
    TaskHeaders,
    TaskId,
    TaskType,
)
from kallback.sdk.journal import publish
from kallback.settings import Settings
from kallback.testing import TopicFactory, eventually

if TYPE_CHECKING:
    from kallback.kafka import Record

pytestmark = pytest.mark.integration

AT_ONCE = RetryPolicy(attempts=4, first_delay=timedelta(0))
BROKEN = Problem("OvenBroken", 503, "no gas")
SHELF = b'{"shelf": "B3"}'
Refusal = Callable[[], Awaitable[None]]


@dataclass
class Trouble:
    """What happens to the second attempt of the soup instead of its publication, while there is something."""

    refuse: Refusal | None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, record: OutgoingRecord, send: Send) -> Position:
        """The fault of an environment."""
        is_soup = record.value is not None and b"soup" in record.value
        if self.refuse is not None and is_soup and TaskHeaders.decode(record.headers).attempt > 1:
            self.begun.set()
            await self.refuse()
        return await send(record)


async def hang() -> None:
    """No answer."""
    await asyncio.Event().wait()


async def no_leader() -> None:
    """Not now."""
    raise KafkaUnavailableError("no leader for this partition")


async def start_both(env: SdkEnv, ctx: restate.Context) -> list[Any]:
    """A soup and a pie."""
    return await env.callbacks.start_many(ctx, env.limited(retry=AT_ONCE), [Order("soup"), Order("pie")])


async def both_tasks(env: SdkEnv) -> tuple[Record, Record]:
    """Their records."""
    one, other = await env.task(), await env.task()
    return (one, other) if b"soup" in (one.value or b"") else (other, one)


async def test_the_first_result_is_returned_while_the_other_task_is_published(
    make_env: EnvFactory, own_topics: Settings
) -> None:
    """The publishing step hangs; the task is cancelled, and the handler ends."""
    trouble = Trouble(hang)
    async with make_env(trouble, settings=own_topics) as env:

        async def run(ctx: restate.Context) -> list[str]:
            return [it.shelf for it in await env.callbacks.first(await start_both(env, ctx))]

        async with env.invoked(run) as invocation, asyncio.timeout(60):
            soup, pie = await both_tasks(env)
            await env.fail(soup, BROKEN)
            await trouble.begun.wait()
            await env.complete(pie, SHELF)
            assert await invocation.result() == ["B3"]
            cancel = await env.cancel_record()
    assert (cancel.task_id, cancel.reason) == (task_id_of(soup), CancelReason.CANCELLED)


async def test_a_retry_is_published_while_a_cancel_is(
    make_env: EnvFactory, own_topics: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler waits for the cancels of attempts only when it has nothing else to wait for."""
    monkeypatch.setattr(publish, "CANCEL_LIMIT", 3600.0)
    hanging, released = asyncio.Event(), asyncio.Event()

    async def hang_on_cancels(record: OutgoingRecord, send: Send) -> Position:
        if record.topic == own_topics.topics.control:
            hanging.set()
            await released.wait()
        return await send(record)

    async with make_env(hang_on_cancels, settings=own_topics) as env:
        limited = env.limited(retry=AT_ONCE, attempt_timeout=timedelta(seconds=1))

        async def run(ctx: restate.Context) -> list[str]:
            slow = await env.callbacks.start(ctx, limited, Order("soup"))
            other = await env.callbacks.start(ctx, env.limited(retry=AT_ONCE), Order("pie"))
            return [it.shelf for it in await env.callbacks.gather([slow, other])]

        async with env.invoked(run) as invocation, asyncio.timeout(60):
            _, pie = await both_tasks(env)
            await hanging.wait()
            await env.fail(pie, BROKEN)
            again = await both_tasks(env)
            released.set()
            for task in again:
                await env.complete(task, SHELF)
            assert await invocation.result() == ["B3", "B3"]


async def test_a_replay_takes_the_steps_of_both_in_their_order(make_env: EnvFactory, own_topics: Settings) -> None:
    """The handler suspends between any two of them, while one of the tasks waits for Kafka."""
    trouble, entries = Trouble(no_leader), list[int]()
    async with make_env(trouble, settings=own_topics) as env:

        async def run(ctx: restate.Context) -> list[str]:
            return [it.shelf for it in await env.callbacks.gather(await start_both(env, ctx))]

        async with sleepy(env, run, entries) as invocation, asyncio.timeout(60):
            soup, pie = await both_tasks(env)
            await suspended(env, invocation)
            await env.fail(soup, BROKEN)
            await trouble.begun.wait()
            for _ in range(2):
                await suspended(env, invocation)
                await env.fail(pie, BROKEN)
                pie = await env.task()
            trouble.refuse = None
            soup = await env.task()
            for task in (soup, pie):
                await env.complete(task, SHELF)
            assert await env.ingress.attach(invocation) == ["B3", "B3"]
    assert [TaskHeaders.decode(task.headers).attempt for task in (soup, pie)] == [2, 3]
    assert len(entries) >= 5


async def test_a_result_is_returned_while_the_topic_of_the_other_task_is_missing(
    make_env: EnvFactory, own_topics: Settings, topics_factory: TopicFactory
) -> None:
    """A real broker without the topic: it was deleted between two attempts."""
    sent = list[OutgoingRecord]()

    async def recorded(record: OutgoingRecord, send: Send) -> Position:
        sent.append(record)
        return await send(record)

    topic = topics_factory("soup")
    async with make_env(recorded, settings=own_topics) as env:
        soup = TaskType("soup", Order, Prepared, topic=topic, retry=AT_ONCE)

        async def run(ctx: restate.Context) -> list[str]:
            handles = [await env.callbacks.start(ctx, each, Order("x")) for each in (soup, env.prepare)]
            return [it.shelf for it in await env.callbacks.first(handles)]

        async with env.invoked(run) as invocation, asyncio.timeout(60):
            pie = await env.task()
            await asyncio.to_thread(delete, env, topic)
            await env.fail(sent[0], BROKEN)
            await eventually("a try without a topic", lambda: waits_for_topic(env, invocation.id))
            await env.complete(pie, SHELF)
            assert await invocation.result() == ["B3"]
            cancels = [Cancel.decode(it.value) for it in sent if it.topic == own_topics.topics.control]
    assert [(it.task_id, it.reason) for it in cancels] == [(task_id_of(sent[0]), CancelReason.CANCELLED)]


def delete(env: SdkEnv, topic: str) -> None:
    """Delete a topic."""
    admin = AdminClient({"bootstrap.servers": env.settings.kafka.bootstrap_servers})
    admin.delete_topics([topic])[topic].result(20)


def task_id_of(task: TaskRecord) -> TaskId:
    """From its headers."""
    return TaskHeaders.decode(task.headers).task_id


async def waits_for_topic(env: SdkEnv, invocation_id: str) -> bool:
    """Whether the handler waits for a topic or a permission."""
    rows = await env.admin.query(f"SELECT name FROM sys_journal WHERE id = '{invocation_id}'")
    return any(str(row.get("name")).startswith("wait for a topic") for row in rows)
