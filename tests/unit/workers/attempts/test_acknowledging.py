"""Types that are acknowledged when their work has begun."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import MemoryProducer
from kallback.protocol import KafkaUnavailableError
from kallback.workers import TaskContext, Worker

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

    from kallback.kafka import OutgoingRecord, Position


def gated(env: WorkerEnv, worker: Worker) -> tuple[list[str], asyncio.Event]:
    """Register a long function that is acknowledged at its start; returns what has begun, and its gate."""
    begun: list[str] = []
    gate = asyncio.Event()
    watched = dataclasses.replace(env.prepare, heartbeat_every=timedelta(minutes=1))

    @worker.task(watched, acknowledge="start")
    async def cook(order: Any, task: TaskContext) -> Any:
        begun.append(task.task_id)
        await gate.wait()
        return env.prepared_type(order.dish)

    return begun, gate


async def test_the_record_is_settled_when_the_start_is_acknowledged(env: WorkerEnv) -> None:
    """The work goes on, and its result is published."""
    worker = env.worker()
    _, gate = gated(env, worker)
    env.send_watched()
    async with worker:
        await env.settled(1)
        assert (env.results(), env.progress()) == ([], [("started", None)])
        gate.set()
        await env.until(env.results, "the result")

    assert worker.counts.completed == 1


async def test_it_is_not_settled_before(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka does not take the `started` record, a crash must leave the task to another worker."""
    worker = env.worker(drain_timeout=0)
    gated(env, worker)
    refused: list[str] = []
    send = MemoryProducer.send

    async def reject(self: MemoryProducer, record: OutgoingRecord) -> Position:
        if len(refused) < 20:
            refused.append(record.topic)
            raise KafkaUnavailableError("away")
        return await send(self, record)

    monkeypatch.setattr(MemoryProducer, "send", reject)
    env.send_watched()
    async with worker:
        await env.until(lambda: len(refused) > 5, "some tries")
        await env.clients.consumers[0].commit()
        assert (env.committed(), len(refused) < 20) == (0, True)
        await env.settled(1)


async def test_a_caller_that_does_not_watch_gets_the_usual(env: WorkerEnv) -> None:
    """Without heartbeats nobody would notice a lost worker, so the record waits for the result."""
    worker = env.worker()
    begun, gate = gated(env, worker)
    env.send(progress_to=env.topics.progress)
    async with worker:
        await env.until(lambda: begun and env.progress(), "the start to be told")
        await env.clients.consumers[0].commit()
        assert env.committed() == 0
        gate.set()
        await env.settled(1)


async def test_a_copy_that_comes_later_is_dropped(env: WorkerEnv) -> None:
    """It must not hold the commit position for as long as the work takes."""
    worker = env.worker()
    begun, gate = gated(env, worker)
    env.send_watched()
    async with worker:
        await env.settled(1)
        env.send_watched()
        await env.settled(2)
        assert (begun, worker.counts.dropped) == (["t1"], 1)
        gate.set()


async def test_a_missing_progress_topic_keeps_the_worker_from_starting(env: WorkerEnv, monkeypatch: Any) -> None:
    """Types with heartbeats need it."""
    asked: list[str] = []
    check = env.clients.check_topics

    async def remember(topics: Any) -> None:
        asked.extend(topics)
        await check(topics)

    monkeypatch.setattr(env.clients, "check_topics", remember)
    worker = env.worker()
    gated(env, worker)
    async with worker:
        assert env.topics.progress in asked
