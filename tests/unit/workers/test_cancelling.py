"""Cancels: tasks that nobody waits for any more."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import MemoryReader
from kallback.protocol import MissingTopicError
from kallback.workers import StopReason, TaskContext
from kallback.workers.cancel_memory import CancelMemory
from kallback.workers.execution.function_call import FunctionCall
from kallback.workers.execution.outcomes import Raised
from kallback.workers.registration.functions import inspect_function

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

    from kallback.kafka import Record


async def test_a_running_coroutine_is_cancelled_and_publishes_nothing(env: WorkerEnv) -> None:
    """User code sees `CancelledError`; the offset is done without a result."""
    worker = env.worker()
    events: list[str] = []

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        events.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    env.send()
    async with worker:
        await env.until(lambda: events, "the task to run")
        env.cancel()
        await env.settled(1)

    assert events == ["begun", "cancelled"]
    assert (env.results(), worker.counts.cancelled) == ([], 1)


async def test_swallowing_the_cancel_publishes_nothing_either(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """A value returned in spite of a cancel is logged and forgotten."""
    worker = env.worker()
    begun = asyncio.Event()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return env.prepared_type("anyway")

    env.send()
    async with worker:
        await begun.wait()
        env.cancel()
        await env.settled(1)

    assert env.results() == []
    assert "its value is not published" in caplog.text


async def test_records_of_the_control_topic_are_counted(env: WorkerEnv) -> None:
    """What is no control record changes nothing, and is seen in the metrics."""
    worker = env.worker()
    env.cook(worker)
    env.cancel("t7")
    for value in (b"junk", None):
        env.put(env.topics.control, value)
    async with worker:
        assert worker.control_records == {"cancel": 1, "invalid": 2, "unreadable": 0}


async def test_a_thread_sees_that_it_is_cancelled(env: WorkerEnv) -> None:
    """A plain function cannot be interrupted; it looks at `cancelled`."""
    worker = env.worker()
    begun = threading.Event()

    @worker.task(env.prepare)
    def cook(_order: Any, task: TaskContext) -> Any:
        begun.set()
        while not task.cancelled:
            threading.Event().wait(0.001)
        return env.prepared_type("late")

    env.send()
    async with worker:
        await env.until(begun.is_set, "the thread to run")
        env.cancel()
        await env.settled(1)

    assert env.results() == []


async def test_a_cancel_before_its_task_is_remembered(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """A cancel that overtakes its task is known when the task comes."""
    caplog.set_level(logging.INFO)
    worker = env.worker()
    done = env.cook(worker)
    env.cancel("t1")
    async with worker:
        env.send("t1")
        env.send("t2")
        await env.settled(2)

    assert (done, worker.counts.skipped_cancelled) == (["t2"], 1)
    assert "cancelled by the caller (cancelled)" in caplog.text


async def test_a_worker_that_joins_later_skips_what_was_cancelled(env: WorkerEnv) -> None:
    """The control topic is read to its end before the first task is looked at."""
    env.send("t1")
    for number in range(500):
        env.cancel(f"other{number}")
    env.cancel("t1")
    worker = env.worker()
    done = env.cook(worker)

    async with worker:
        await env.settled(1)

    assert done == []


async def test_no_task_is_looked_at_before_the_control_topic_was_read(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long reading takes, the start waits for it."""
    worker = env.worker()
    done = env.cook(worker)
    asked, gate = asyncio.Event(), asyncio.Event()
    fetch = MemoryReader.fetch

    async def slow(self: MemoryReader, timeout: float) -> Any:  # noqa: ASYNC109 - the seam's own
        asked.set()
        await gate.wait()
        return await fetch(self, timeout)

    monkeypatch.setattr(MemoryReader, "fetch", slow)
    env.send("t1")
    env.cancel("t1")
    starting = asyncio.create_task(worker.start())
    await asked.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (done, starting.done()) == ([], False)
    gate.set()
    await starting
    await env.settled(1)

    assert (done, worker.counts.skipped_cancelled) == ([], 1)


async def test_only_the_cancelled_attempts_are_skipped(env: WorkerEnv) -> None:
    """A cancel of attempt 1 leaves attempt 2 alone."""
    worker = env.worker()
    env.cook(worker)
    env.cancel("t1", attempt=1)
    env.send("t1", attempt=1, token="kb1:first")
    env.send("t1", attempt=2, token="kb1:second")

    async with worker:
        await env.settled(2)

    assert [each.token for each in env.results()] == ["kb1:second"]


async def test_an_old_cancel_is_not_read(env: WorkerEnv) -> None:
    """What is older than `cancels_age` is left in the topic."""
    worker = env.worker(cancels_age=60)
    done = env.cook(worker)
    env.cancel("t1")
    env.now += 61
    env.send("t1")

    async with worker:
        await env.settled(1)

    assert done == ["t1"]


async def test_an_unknown_control_record_is_skipped(env: WorkerEnv) -> None:
    """A record of a newer sdk, or rubbish, stops nothing."""
    worker = env.worker()
    env.cook(worker)
    for value in (b"\xff", None, b'{"kallback": 2}', b"[" * 100_000):
        env.put(env.topics.control, value)
    env.cancel("t1")
    env.send("t1")

    async with worker:
        await env.settled(1)

    assert worker.counts.skipped_cancelled == 1


@pytest.mark.parametrize("error", [MissingTopicError("gone"), AssertionError("a bug of the client")])
async def test_losing_the_control_topic_stops_no_work(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The follower opens another reader; tasks go on, and cancels are seen again."""
    worker = env.worker()
    env.cook(worker)
    opened: list[str] = []
    reader = env.clients.reader

    def failing(topic: str, since_ms: int, record_bytes: int | None) -> Any:
        made = reader(topic, since_ms, record_bytes)
        opened.append(topic)
        if len(opened) == 1:
            made.caught_up.set()

            async def fetch(_timeout: float) -> Any:
                raise error

            monkeypatch.setattr(made, "fetch", fetch)
        return made

    monkeypatch.setattr(env.clients, "reader", failing)
    async with worker:
        await env.until(lambda: len(opened) == 2, "another reader")
        env.cancel("t1")
        env.send("t2")
        await env.settled(1)
        env.send("t1")
        await env.settled(2)

    assert worker.counts.skipped_cancelled == 1


async def test_a_cancel_between_fetching_and_beginning_is_in_time(env: WorkerEnv) -> None:
    """A call that has not begun when its cancel comes never begins."""
    called: list[str] = []
    function = inspect_function(env.prepare, called.append)
    call = FunctionCall(function, "soup", TaskContext("t1"))
    call.stop(StopReason.CANCELLED)

    assert isinstance(await call.outcome(), Raised)
    assert called == []


async def test_a_flood_of_cancels_does_not_hold_the_loop(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other work gets its turn after each hundred."""
    turns, seen = itertools.count(), Counter[int]()
    turn = next(turns)

    async def take_turns() -> None:
        nonlocal turn
        while True:
            turn = next(turns)
            await asyncio.sleep(0)

    monkeypatch.setattr(CancelMemory, "remember", lambda *_: seen.update([turn]))
    for number in range(1_000):
        env.cancel(f"t{number}")
    taking = asyncio.create_task(take_turns())
    worker = env.worker()
    env.cook(worker)
    async with worker:
        taking.cancel()

    assert (seen.total(), max(seen.values()) <= 100) == (1_000, True)


async def test_fetches_of_cancels_that_need_not_wait_do_not_hold_the_loop(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that has the records already returns one fetch after the other at once."""
    turns, seen = itertools.count(), Counter[int]()
    turn = next(turns)

    async def take_turns() -> None:
        nonlocal turn
        while True:
            turn = next(turns)
            await asyncio.sleep(0)

    ready: list[Record] = []
    whole = MemoryReader.fetch

    async def fetch(self: MemoryReader, timeout: float) -> list[Record]:  # noqa: ASYNC109 - the seam's own
        if not ready:
            ready.extend(await whole(self, timeout))
        records, ready[:] = ready[:50], ready[50:]
        return records

    monkeypatch.setattr(MemoryReader, "fetch", fetch)
    monkeypatch.setattr(CancelMemory, "remember", lambda *_: seen.update([turn]))
    for number in range(1_000):
        env.cancel(f"t{number}")
    taking = asyncio.create_task(take_turns())
    worker = env.worker()
    env.cook(worker)
    async with worker:
        await env.until(lambda: seen.total() == 1_000, "all cancels")
        taking.cancel()

    assert max(seen.values()) <= 50
