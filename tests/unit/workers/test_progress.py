"""Progress: started, heartbeats by themselves, the user's details; best effort."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import MemoryProducer
from kallback.protocol import MAX_DETAILS_BYTES, InvalidProgressError, MissingTopicError
from kallback.workers import TaskContext, TaskFailure, Worker

if TYPE_CHECKING:
    from tests.unit.workers.conftest import Bench

    from kallback.kafka import OutgoingRecord, Position


def gated(bench: Bench, worker: Worker) -> tuple[list[TaskContext], asyncio.Event]:
    """Register a function that waits for a gate; returns the contexts of those that run, and the gate."""
    running: list[TaskContext] = []
    gate = asyncio.Event()

    @worker.task(bench.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        running.append(task)
        await gate.wait()
        return bench.prepared_type(order.dish)

    return running, gate


async def test_a_start_is_told(bench: Bench) -> None:
    """Token, signal, time and interval travel, keyed by the task id; without an interval there is no heartbeat."""
    worker = bench.worker()
    bench.cook(worker)
    bench.send_watched(every=60)
    async with worker:
        await bench.until(bench.progress, "the start to be told")
        await bench.settled(1)

    (record,) = bench.broker.records(bench.topics.progress)
    assert record.key == b"t1"
    assert dict(record.headers) == {
        "kallback-token": b"kb1:t1",
        "kallback-signal": b"started",
        "kallback-at": str(int(bench.now * 1000)).encode(),
        "kallback-heartbeat-every": b"60000",
    }


async def test_who_asks_for_no_progress_gets_none(bench: Bench) -> None:
    """A heartbeat of the function goes nowhere, and is no error."""
    worker = bench.worker()

    @worker.task(bench.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        task.heartbeat({"done": 1})
        return bench.prepared_type(order.dish)

    bench.send()
    async with worker:
        await bench.settled(1)

    assert bench.progress() == []


@pytest.mark.parametrize("in_loop", [True, False])
async def test_heartbeats_come_by_themselves_until_the_end(bench: Bench, *, in_loop: bool) -> None:
    """Of coroutines and of threads that never say a word."""
    worker = bench.worker()
    gate, told = asyncio.Event(), threading.Event()

    async def cook(_order: Any) -> Any:
        await gate.wait()
        return bench.prepared_type("soup")

    def cook_in_thread(_order: Any) -> Any:
        told.wait(5)
        return bench.prepared_type("soup")

    worker.task(bench.prepare)(cook if in_loop else cook_in_thread)
    bench.send_watched(every=0.01)
    async with worker:
        await bench.until(lambda: bench.progress().count(("heartbeat", None)) >= 3, "three heartbeats")
        gate.set()
        told.set()
        await bench.settled(1)
        count = len(bench.progress())
        await asyncio.sleep(0.05)  # five intervals: time enough for one too many

    assert bench.progress()[0] == ("started", None)
    assert len(bench.progress()) == count


async def test_the_newest_details_win(bench: Bench) -> None:
    """A tight loop of heartbeats becomes a few records; the last of them has the last details."""
    worker = bench.worker()
    running, gate = gated(bench, worker)
    bench.send_watched(every=0.1)
    async with worker:
        await bench.until(bench.progress, "the start to be told")
        for number in range(1_000):
            running[0].heartbeat({"done": number})
        await bench.until(lambda: ("heartbeat", {"done": 999}) in bench.progress(), "the last details")
        gate.set()
        await bench.settled(1)

    assert len([details for _, details in bench.progress() if details]) <= 2


async def test_details_wait_for_half_an_interval(bench: Bench) -> None:
    """However often the function speaks, nothing follows the start before that."""
    worker = bench.worker()
    running, gate = gated(bench, worker)
    bench.send_watched(every=3600)
    async with worker:
        await bench.until(bench.progress, "the start to be told")
        running[0].heartbeat("early")
        await asyncio.sleep(0.05)
        assert bench.progress() == [("started", None)]
        gate.set()
        await bench.settled(1)


async def test_a_heartbeat_without_details_keeps_those_that_wait(bench: Bench) -> None:
    """A sign of life does not wipe out what was said before it."""
    worker = bench.worker()
    running, gate = gated(bench, worker)
    bench.send_watched(every=0.1)
    async with worker:
        await bench.until(bench.progress, "the start to be told")
        running[0].heartbeat({"done": 7})
        running[0].heartbeat()
        await bench.until(lambda: ("heartbeat", {"done": 7}) in bench.progress(), "the details")
        gate.set()


async def test_the_last_details_of_a_failed_attempt_are_told(bench: Bench) -> None:
    """They would have waited for half an interval; the next attempt goes on from them."""
    worker = bench.worker()

    @worker.task(bench.prepare)
    async def cook(_order: Any, task: TaskContext) -> Any:
        await bench.until(bench.progress, "the start to be told")
        task.heartbeat({"done": 41})
        raise TaskFailure("Dropped")

    bench.send_watched(every=3600)
    async with worker:
        await bench.settled(1)

    assert bench.progress() == [("started", None), ("heartbeat", {"done": 41})]


async def test_details_of_the_attempt_before_reach_the_function(bench: Bench) -> None:
    """`last_details` is the decoded header."""
    worker = bench.worker()
    running, gate = gated(bench, worker)
    gate.set()
    bench.send("t1", attempt=2, last_details=b'{"done": 41}')
    bench.send("t2")
    async with worker:
        await bench.settled(2)

    assert [task.last_details for task in running] == [{"done": 41}, None]


@pytest.mark.parametrize(
    ("details", "sentence"),
    [
        ("x" * MAX_DETAILS_BYTES, "16384 are the most, send a reference"),
        (object(), "must be a JSON value"),
        ({1 + 2j: 1}, "must be a JSON value"),
    ],
)
def test_details_that_cannot_travel_are_refused_at_once(details: Any, sentence: str) -> None:
    """Also where nobody listens: a test of the function finds it."""
    with pytest.raises(InvalidProgressError, match=sentence):
        TaskContext("t1").heartbeat(details)


def test_a_test_of_a_function_sees_its_heartbeats() -> None:
    """A context of one's own takes a callable."""
    seen: list[bytes] = []
    TaskContext("t1", on_heartbeat=seen.append).heartbeat({"done": 1})

    assert seen == [b'{"done":1}']


async def test_an_outage_of_progress_neither_fails_nor_piles_up(bench: Bench) -> None:
    """While nothing can be told, the newest details replace each other; afterwards they are told once."""
    worker = bench.worker()
    running, gate = gated(bench, worker)
    bench.send_watched(every=0.01)
    async with worker:
        await bench.until(bench.progress, "the start to be told")
        bench.broker.available = False
        for number in range(200):
            running[0].heartbeat({"done": number})
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        told = len(bench.progress())
        bench.broker.available = True
        await bench.until(lambda: len(bench.progress()) > told, "the progress after the outage")
        gate.set()
        await bench.settled(1)

    assert bench.progress()[told] == ("heartbeat", {"done": 199})
    assert worker.counts.completed == 1


async def test_a_missing_progress_topic_costs_progress_only(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log, the task is done."""
    worker = bench.worker()
    bench.cook(worker)
    bench.send(progress_to="no-such-topic", heartbeat_every_ms=10)
    async with worker:
        await bench.settled(1)

    assert worker.counts.completed == 1
    assert caplog.text.count("its progress is not told any more") == 1


async def test_the_allow_list_holds_for_progress(bench: Bench) -> None:
    """A task that wants its progress elsewhere is dead-lettered."""
    worker = bench.worker(reply_topics=frozenset({bench.topics.results}))
    done = bench.cook(worker)
    bench.send_watched()
    async with worker:
        await bench.settled(1)

    assert (done, bench.dead()) == ([], ["refused-reply-topic"])


async def test_heartbeats_go_on_while_the_result_waits_for_kafka(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is not lost, and must not be taken for it."""
    worker = bench.worker()
    bench.cook(worker)
    away = True
    send = MemoryProducer.send

    async def refuse_results(self: MemoryProducer, record: OutgoingRecord) -> Position:
        if away and record.topic == bench.topics.results:
            raise MissingTopicError("results is being made anew")
        return await send(self, record)

    monkeypatch.setattr(MemoryProducer, "send", refuse_results)
    bench.send_watched(every=0.01)
    async with worker:
        await bench.until(lambda: bench.progress().count(("heartbeat", None)) >= 3, "heartbeats after the function")
        away = False
        await bench.settled(1)

    assert len(bench.results()) == 1
