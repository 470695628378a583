"""Cancels: tasks that nobody waits for any more."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import MemoryReader
from kallback.protocol import MissingTopicError
from kallback.workers import TaskContext
from kallback.workers.execution.function_call import Execution
from kallback.workers.execution.outcomes import Raised, Stop
from kallback.workers.registration.functions import inspect_function

if TYPE_CHECKING:
    from tests.unit.workers.conftest import Bench


async def test_a_running_coroutine_is_cancelled_and_publishes_nothing(bench: Bench) -> None:
    """User code sees `CancelledError`; the offset is done without a result."""
    worker = bench.worker()
    events: list[str] = []

    @worker.task(bench.prepare)
    async def cook(_order: Any) -> Any:
        events.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    bench.send()
    async with worker:
        await bench.until(lambda: events, "the task to run")
        bench.cancel()
        await bench.settled(1)

    assert events == ["begun", "cancelled"]
    assert (bench.results(), worker.counts.cancelled) == ([], 1)


async def test_swallowing_the_cancel_publishes_nothing_either(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A value returned in spite of a cancel is logged and forgotten."""
    worker = bench.worker()
    begun = asyncio.Event()

    @worker.task(bench.prepare)
    async def cook(_order: Any) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return bench.prepared_type("anyway")

    bench.send()
    async with worker:
        await begun.wait()
        bench.cancel()
        await bench.settled(1)

    assert bench.results() == []
    assert "its value is not published" in caplog.text


async def test_a_thread_sees_that_it_is_cancelled(bench: Bench) -> None:
    """A plain function cannot be interrupted; it looks at `cancelled`."""
    worker = bench.worker()
    begun = threading.Event()

    @worker.task(bench.prepare)
    def cook(_order: Any, task: TaskContext) -> Any:
        begun.set()
        while not task.cancelled:
            threading.Event().wait(0.001)
        return bench.prepared_type("late")

    bench.send()
    async with worker:
        await bench.until(begun.is_set, "the thread to run")
        bench.cancel()
        await bench.settled(1)

    assert bench.results() == []


async def test_a_cancel_before_its_task_is_remembered(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A cancel that overtakes its task is known when the task comes."""
    caplog.set_level(logging.INFO)
    worker = bench.worker()
    done = bench.cook(worker)
    bench.cancel("t1")
    async with worker:
        bench.send("t1")
        bench.send("t2")
        await bench.settled(2)

    assert (done, worker.counts.skipped_cancelled) == (["t2"], 1)
    assert "the caller waits no more (cancelled)" in caplog.text


async def test_a_worker_that_joins_later_skips_what_was_cancelled(bench: Bench) -> None:
    """The control topic is read to its end before the first task is looked at."""
    bench.send("t1")
    for number in range(500):
        bench.cancel(f"other{number}")
    bench.cancel("t1")
    worker = bench.worker()
    done = bench.cook(worker)

    async with worker:
        await bench.settled(1)

    assert done == []


async def test_no_task_is_looked_at_before_the_control_topic_was_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long reading takes, the start waits for it."""
    worker = bench.worker()
    done = bench.cook(worker)
    asked, gate = asyncio.Event(), asyncio.Event()
    fetch = MemoryReader.fetch

    async def slow(self: MemoryReader, timeout: float) -> Any:  # noqa: ASYNC109 - the seam's own
        asked.set()
        await gate.wait()
        return await fetch(self, timeout)

    monkeypatch.setattr(MemoryReader, "fetch", slow)
    bench.send("t1")
    bench.cancel("t1")
    starting = asyncio.create_task(worker.start())
    await asked.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (done, starting.done()) == ([], False)
    gate.set()
    await starting
    await bench.settled(1)

    assert (done, worker.counts.skipped_cancelled) == ([], 1)


async def test_only_the_cancelled_attempts_are_skipped(bench: Bench) -> None:
    """A cancel of attempt 1 leaves attempt 2 alone."""
    worker = bench.worker()
    bench.cook(worker)
    bench.cancel("t1", attempt=1)
    bench.send("t1", attempt=1, token="kb1:first")
    bench.send("t1", attempt=2, token="kb1:second")

    async with worker:
        await bench.settled(2)

    assert [each.token for each in bench.results()] == ["kb1:second"]


async def test_an_old_cancel_is_not_read(bench: Bench) -> None:
    """What is older than `cancels_age` is left in the topic."""
    worker = bench.worker(cancels_age=60)
    done = bench.cook(worker)
    bench.cancel("t1")
    bench.now += 61
    bench.send("t1")

    async with worker:
        await bench.settled(1)

    assert done == ["t1"]


async def test_an_unknown_control_record_is_skipped(bench: Bench) -> None:
    """A record of a newer sdk, or rubbish, stops nothing."""
    worker = bench.worker()
    bench.cook(worker)
    for value in (b"\xff", None, b'{"kallback": 2}', b"[" * 100_000):
        bench.put(bench.topics.control, value)
    bench.cancel("t1")
    bench.send("t1")

    async with worker:
        await bench.settled(1)

    assert worker.counts.skipped_cancelled == 1


@pytest.mark.parametrize("error", [MissingTopicError("gone"), AssertionError("a bug of the client")])
async def test_losing_the_control_topic_stops_no_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The follower opens another reader; tasks go on, and cancels are seen again."""
    worker = bench.worker()
    bench.cook(worker)
    opened: list[str] = []
    reader = bench.clients.reader

    def failing(topic: str, since_ms: int) -> Any:
        made = reader(topic, since_ms)
        opened.append(topic)
        if len(opened) == 1:
            made.caught_up.set()

            async def fetch(_timeout: float) -> Any:
                raise error

            monkeypatch.setattr(made, "fetch", fetch)
        return made

    monkeypatch.setattr(bench.clients, "reader", failing)
    async with worker:
        await bench.until(lambda: len(opened) == 2, "another reader")
        bench.cancel("t1")
        bench.send("t2")
        await bench.settled(1)
        bench.send("t1")
        await bench.settled(2)

    assert worker.counts.skipped_cancelled == 1


async def test_a_cancel_between_fetching_and_beginning_is_in_time(bench: Bench) -> None:
    """A call that has not begun when its cancel comes never begins."""
    called: list[str] = []
    function = inspect_function(bench.prepare, called.append)
    execution = Execution(function, "soup", TaskContext("t1"))
    execution.stop(Stop.CANCELLED)

    assert isinstance(await execution.ended(), Raised)
    assert called == []
