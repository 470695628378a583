"""Deadlines, kept by the worker itself: with a clock that the tests set."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import MemoryProducer
from kallback.protocol import KafkaUnavailableError, TaskHeaders
from kallback.workers import TaskContext, Worker
from kallback.workers.attempts.decide import Rules, Run, SkipExpired, decide
from kallback.workers.registration.functions import inspect_function

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

    from kallback.kafka import OutgoingRecord, Position

NOW_MS = 1_700_000_000_000


def stuck(env: WorkerEnv, worker: Worker) -> asyncio.Event:
    """Register a function that never returns by itself; the event says that it runs."""
    begun = asyncio.Event()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    return begun


async def test_a_function_is_stopped_at_its_deadline(env: WorkerEnv) -> None:
    """Nothing is published, the record is settled, and it is counted as expired."""
    worker = env.worker(clock_skew=0)
    begun = stuck(env, worker)
    env.send(deadline_ms=int(env.now * 1000) + 10_000)
    async with worker:
        await begun.wait()
        env.now += 10.5
        await env.settled(1)

    assert (env.results(), worker.counts.expired, worker.counts.cancelled) == ([], 1, 0)


async def test_a_thread_sees_its_deadline(env: WorkerEnv) -> None:
    """As it sees a cancel."""
    worker = env.worker(clock_skew=0)
    begun = threading.Event()

    @worker.task(env.prepare)
    def cook(_order: Any, task: TaskContext) -> Any:
        begun.set()
        while not task.cancelled:
            threading.Event().wait(0.001)

    env.send(deadline_ms=int(env.now * 1000) + 10_000)
    async with worker:
        await env.until(begun.is_set, "the thread to run")
        env.now += 10.5
        await env.settled(1)

    assert worker.counts.expired == 1


async def test_the_clocks_difference_is_allowed_for(env: WorkerEnv) -> None:
    """Only when deadline and skew are past is the function stopped."""
    worker = env.worker(clock_skew=60)
    begun = stuck(env, worker)
    env.send(deadline_ms=int(env.now * 1000) + 10_000)
    async with worker:
        await begun.wait()
        env.now += 65
        await asyncio.sleep(0.6)  # two looks at the clock
        assert worker.counts.expired == 0
        env.now += 10
        await env.settled(1)

    assert worker.counts.expired == 1


async def test_a_result_that_waits_for_kafka_is_not_expired(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The work is done: its result is published although it is late, and counted once."""
    caplog.set_level("INFO")
    worker = env.worker(clock_skew=0)
    env.cook(worker)
    tries: list[str] = []
    back = asyncio.Event()
    send = MemoryProducer.send

    async def late(self: MemoryProducer, record: OutgoingRecord) -> Position:
        tries.append(record.topic)
        if not back.is_set():
            raise KafkaUnavailableError("away")
        return await send(self, record)

    monkeypatch.setattr(MemoryProducer, "send", late)
    env.send(deadline_ms=int(env.now * 1000) + 10_000)
    async with worker:
        await env.until(lambda: tries, "the result to be sent")
        env.now += 11
        await asyncio.sleep(0.6)  # two looks at the clock
        back.set()
        await env.settled(1)

    assert (worker.counts.completed, worker.counts.expired, len(env.results())) == (1, 0, 1)
    assert "deadline" not in caplog.text


async def test_without_a_deadline_nothing_is_stopped(env: WorkerEnv) -> None:
    """However late it is."""
    worker = env.worker(clock_skew=0, drain_timeout=0)
    begun = stuck(env, worker)
    env.send()
    async with worker:
        await begun.wait()
        env.now += 1e9
        await asyncio.sleep(0.6)  # two looks at the clock

    assert (worker.counts.expired, worker.counts.abandoned) == (0, 1)


@pytest.mark.parametrize("name", ["deadline_ms", "start_by_ms"])
@pytest.mark.parametrize(("late_ms", "skipped"), [(2_000, False), (2_001, True)])
def test_a_task_is_skipped_when_limit_and_skew_are_past(
    env: WorkerEnv, name: str, late_ms: int, *, skipped: bool
) -> None:
    """Before that somebody may still wait for it."""
    function = inspect_function(env.prepare, lambda order: order)
    rules = Rules({"prepare": function}, clock_skew=2.0)
    limit: Any = {name: NOW_MS - late_ms}
    headers: TaskHeaders = env.headers(**limit)

    assert isinstance(decide(env.record(headers), rules, NOW_MS), SkipExpired if skipped else Run)


async def test_a_task_that_comes_too_late_to_start_is_skipped(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """No result, no progress; the caller has dispatched its next attempt."""
    caplog.set_level("INFO")
    worker = env.worker()
    done = env.cook(worker)
    env.send_watched(start_by_ms=int(env.now * 1000) - 6_000)
    async with worker:
        await env.settled(1)

    assert (done, env.progress(), worker.counts.skipped_expired) == ([], [], 1)
    assert "6000 ms past its time to start by" in caplog.text
