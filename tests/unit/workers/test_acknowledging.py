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
    from tests.unit.workers.conftest import Bench

    from kallback.kafka import OutgoingRecord, Position


def gated(bench: Bench, worker: Worker) -> tuple[list[str], asyncio.Event]:
    """Register a long function that is acknowledged at its start; returns what has begun, and its gate."""
    begun: list[str] = []
    gate = asyncio.Event()
    watched = dataclasses.replace(bench.prepare, heartbeat_every=timedelta(minutes=1))

    @worker.task(watched, acknowledge="start")
    async def cook(order: Any, task: TaskContext) -> Any:
        begun.append(task.task_id)
        await gate.wait()
        return bench.prepared_type(order.dish)

    return begun, gate


async def test_the_record_is_settled_when_the_start_is_acknowledged(bench: Bench) -> None:
    """The work goes on, and its result is published."""
    worker = bench.worker()
    _, gate = gated(bench, worker)
    bench.send_watched()
    async with worker:
        await bench.settled(1)
        assert (bench.results(), bench.progress()) == ([], [("started", None)])
        gate.set()
        await bench.until(bench.results, "the result")

    assert worker.counts.completed == 1


async def test_it_is_not_settled_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Kafka does not take the `started` record, a crash must leave the task to another worker."""
    worker = bench.worker(drain_timeout=0)
    gated(bench, worker)
    refused: list[str] = []
    send = MemoryProducer.send

    async def refuse(self: MemoryProducer, record: OutgoingRecord) -> Position:
        if len(refused) < 20:
            refused.append(record.topic)
            raise KafkaUnavailableError("away")
        return await send(self, record)

    monkeypatch.setattr(MemoryProducer, "send", refuse)
    bench.send_watched()
    async with worker:
        await bench.until(lambda: len(refused) > 5, "some tries")
        await bench.clients.consumers[0].commit()
        assert (bench.committed(), len(refused) < 20) == (0, True)
        await bench.settled(1)


async def test_a_caller_that_does_not_watch_gets_the_usual(bench: Bench) -> None:
    """Without heartbeats nobody would notice a lost worker, so the record waits for the result."""
    worker = bench.worker()
    begun, gate = gated(bench, worker)
    bench.send(progress_to=bench.topics.progress)
    async with worker:
        await bench.until(lambda: begun and bench.progress(), "the start to be told")
        await bench.clients.consumers[0].commit()
        assert bench.committed() == 0
        gate.set()
        await bench.settled(1)


async def test_a_copy_that_comes_later_is_dropped(bench: Bench) -> None:
    """It must not hold the commit position for as long as the work takes."""
    worker = bench.worker()
    begun, gate = gated(bench, worker)
    bench.send_watched()
    async with worker:
        await bench.settled(1)
        bench.send_watched()
        await bench.settled(2)
        assert (begun, worker.counts.dropped) == (["t1"], 1)
        gate.set()


async def test_a_missing_progress_topic_keeps_the_worker_from_starting(bench: Bench, monkeypatch: Any) -> None:
    """Types with heartbeats need it."""
    asked: list[str] = []
    check = bench.clients.check_topics

    async def remember(topics: Any) -> None:
        asked.extend(topics)
        await check(topics)

    monkeypatch.setattr(bench.clients, "check_topics", remember)
    worker = bench.worker()
    gated(bench, worker)
    async with worker:
        assert bench.topics.progress in asked
