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
    from tests.unit.workers.environment import WorkerEnv

    from kallback.kafka import OutgoingRecord, Position


def gated(env: WorkerEnv, worker: Worker) -> tuple[list[TaskContext], asyncio.Event]:
    """Register a function that waits for a gate; returns the contexts of those that run, and the gate."""
    running: list[TaskContext] = []
    gate = asyncio.Event()

    @worker.task(env.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        running.append(task)
        await gate.wait()
        return env.prepared_type(order.dish)

    return running, gate


async def test_a_start_is_told(env: WorkerEnv) -> None:
    """Token, signal, time, interval and partitions travel, keyed by the task id."""
    worker = env.worker()
    env.cook(worker)
    env.send_watched(every=60)
    async with worker:
        await env.until(env.progress, "the start to be told")
        await env.settled(1)

    (record,) = env.broker.records(env.topics.progress)
    assert record.key == b"t1"
    assert dict(record.headers) == {
        "kallback-token": b"kb1:t1",
        "kallback-signal": b"started",
        "kallback-at": str(int(env.now * 1000)).encode(),
        "kallback-heartbeat-every": b"60000",
        "kallback-partitions": b"0",
    }


async def test_who_asks_for_no_progress_gets_none(env: WorkerEnv) -> None:
    """A heartbeat of the function goes nowhere, and is no error."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        task.heartbeat({"done": 1})
        return env.prepared_type(order.dish)

    env.send()
    async with worker:
        await env.settled(1)

    assert env.progress() == []


@pytest.mark.parametrize("in_loop", [True, False])
async def test_heartbeats_come_by_themselves_until_the_end(env: WorkerEnv, *, in_loop: bool) -> None:
    """Of coroutines and of threads that never say a word."""
    worker = env.worker()
    gate, told = asyncio.Event(), threading.Event()

    async def cook(_order: Any) -> Any:
        await gate.wait()
        return env.prepared_type("soup")

    def cook_in_thread(_order: Any) -> Any:
        told.wait(5)
        return env.prepared_type("soup")

    worker.task(env.prepare)(cook if in_loop else cook_in_thread)
    env.send_watched(every=0.01)
    async with worker:
        await env.until(lambda: env.progress().count(("heartbeat", None)) >= 3, "three heartbeats")
        gate.set()
        told.set()
        await env.settled(1)
        count = len(env.progress())
        await asyncio.sleep(0.05)  # five intervals: time enough for one too many

    assert env.progress()[0] == ("started", None)
    assert len(env.progress()) == count


async def test_the_newest_details_win(env: WorkerEnv) -> None:
    """A tight loop of heartbeats becomes a few records; the last of them has the last details."""
    worker = env.worker()
    running, gate = gated(env, worker)
    env.send_watched(every=0.1)
    async with worker:
        await env.until(env.progress, "the start to be told")
        for number in range(1_000):
            running[0].heartbeat({"done": number})
        await env.until(lambda: ("heartbeat", {"done": 999}) in env.progress(), "the last details")
        gate.set()
        await env.settled(1)

    assert len([details for _, details in env.progress() if details]) <= 2


async def test_details_wait_for_half_an_interval(env: WorkerEnv) -> None:
    """However often the function speaks, nothing follows the start before that."""
    worker = env.worker()
    running, gate = gated(env, worker)
    env.send_watched(every=3600)
    async with worker:
        await env.until(env.progress, "the start to be told")
        running[0].heartbeat("early")
        await asyncio.sleep(0.05)
        assert env.progress() == [("started", None)]
        gate.set()
        await env.settled(1)


async def test_a_heartbeat_without_details_keeps_those_that_wait(env: WorkerEnv) -> None:
    """A sign of life does not wipe out what was said before it."""
    worker = env.worker()
    running, gate = gated(env, worker)
    env.send_watched(every=0.1)
    async with worker:
        await env.until(env.progress, "the start to be told")
        running[0].heartbeat({"done": 7})
        running[0].heartbeat()
        await env.until(lambda: ("heartbeat", {"done": 7}) in env.progress(), "the details")
        gate.set()


async def test_the_last_details_of_a_failed_attempt_are_told(env: WorkerEnv) -> None:
    """They would have waited for half an interval; the next attempt goes on from them."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(_order: Any, task: TaskContext) -> Any:
        await env.until(env.progress, "the start to be told")
        task.heartbeat({"done": 41})
        raise TaskFailure("Dropped")

    env.send_watched(every=3600)
    async with worker:
        await env.settled(1)

    assert env.progress() == [("started", None), ("heartbeat", {"done": 41})]


async def test_a_failure_carries_the_last_details_to_the_next_attempt(env: WorkerEnv) -> None:
    """Only if its caller takes them, and if another attempt may follow; what the function did not change, too."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        if order.dish != "none":
            task.heartbeat(order.dish)
        raise TaskFailure("Dropped", retryable=False if order.dish == "final" else None)

    env.send("t1", b'{"dish": "soup"}', hand_back=True)
    env.send("t2", b'{"dish": "none"}', hand_back=True, last_details=b'{"price": 1.10}')
    env.send("t3", b'{"dish": "soup"}')
    env.send("t4", b'{"dish": "final"}', hand_back=True)
    async with worker:
        await env.settled(4)

    assert sorted(str(result.value.get("last_details")) for result in env.results()) == [
        '"soup"',
        "None",
        "None",
        '{"price": 1.10}',
    ]


async def test_details_travel_with_a_problem_that_is_no_json(env: WorkerEnv) -> None:
    """The member that is none is left out, and the attempt before is not lost with it."""
    worker = env.worker()

    @worker.task(env.prepare)
    def cook(_order: Any, task: TaskContext) -> Any:
        task.heartbeat(41)
        raise TaskFailure("Dropped", shelf=object())

    env.send(hand_back=True)
    async with worker:
        await env.settled(1)

    assert (env.results()[0].value["type"], env.results()[0].value["last_details"]) == ("Dropped", "41")


async def test_a_failure_that_is_too_large_with_details_travels_without(env: WorkerEnv) -> None:
    """The caller gets what the function says, not that it is too large."""
    env.broker.create_topic("small", largest=2_000)
    worker = env.worker(reply_topics=frozenset({"small"}))

    @worker.task(env.prepare)
    def cook(_order: Any, task: TaskContext) -> Any:
        task.heartbeat("x" * 4_000)
        raise TaskFailure("Dropped")

    env.send(hand_back=True, reply_to="small")
    async with worker:
        await env.settled(1)

    assert [result.value for result in env.results("small")] == [{"type": "Dropped", "status": 500, "detail": ""}]


async def test_details_of_the_attempt_before_reach_the_function(env: WorkerEnv) -> None:
    """`last_details` is the decoded header."""
    worker = env.worker()
    running, gate = gated(env, worker)
    gate.set()
    env.send("t1", attempt=2, last_details=b'{"done": 41}')
    env.send("t2")
    async with worker:
        await env.settled(2)

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


async def test_an_outage_of_progress_neither_fails_nor_piles_up(env: WorkerEnv) -> None:
    """While nothing can be told, the newest details replace each other; afterwards they are told once."""
    worker = env.worker()
    running, gate = gated(env, worker)
    env.send_watched(every=0.01)
    async with worker:
        await env.until(env.progress, "the start to be told")
        env.broker.available = False
        for number in range(200):
            running[0].heartbeat({"done": number})
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        told = len(env.progress())
        env.broker.available = True
        await env.until(lambda: len(env.progress()) > told, "the progress after the outage")
        gate.set()
        await env.settled(1)

    assert env.progress()[told] == ("heartbeat", {"done": 199})
    assert worker.counts.completed == 1


async def test_a_missing_progress_topic_costs_progress_only(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log, the task is done."""
    worker = env.worker(reply_topics=frozenset({"no-such-topic"}))
    env.cook(worker)
    env.send(progress_to="no-such-topic", heartbeat_every_ms=10)
    async with worker:
        await env.settled(1)

    assert worker.counts.completed == 1
    assert caplog.text.count("a task names a topic that does not exist") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (asyncio.CancelledError(), "progress ended: what it waited for was cancelled"),
        (GeneratorExit(), "progress ended unexpectedly"),
    ],
)
async def test_progress_that_ends_by_itself_is_said(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: BaseException, said: str
) -> None:
    """A defect costs the attempt's progress and must not pass unseen; the task is done."""
    send = MemoryProducer.send

    async def break_off(self: MemoryProducer, record: OutgoingRecord) -> Position:
        if record.topic == env.topics.progress:
            raise error
        return await send(self, record)

    monkeypatch.setattr(MemoryProducer, "send", break_off)
    worker = env.worker()
    _, gate = gated(env, worker)
    env.send_watched(every=0.01)
    async with worker:
        await env.until(lambda: said in caplog.text, said)
        gate.set()
        await env.settled(1)

    assert worker.counts.completed == 1


async def test_the_allow_list_holds_for_progress(env: WorkerEnv) -> None:
    """A task that wants its progress elsewhere is dead-lettered."""
    worker = env.worker(reply_topics=frozenset({env.topics.results}))
    done = env.cook(worker)
    env.send(progress_to="elsewhere", heartbeat_every_ms=60_000)
    async with worker:
        await env.settled(1)

    assert (done, env.dead()) == ([], ["refused-reply-topic"])


async def test_heartbeats_go_on_while_the_result_waits_for_kafka(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is not lost, and must not be taken for it."""
    worker = env.worker()
    env.cook(worker)
    away = True
    send = MemoryProducer.send

    async def refuse_results(self: MemoryProducer, record: OutgoingRecord) -> Position:
        if away and record.topic == env.topics.results:
            raise MissingTopicError("results is being made anew")
        return await send(self, record)

    monkeypatch.setattr(MemoryProducer, "send", refuse_results)
    env.send_watched(every=0.01)
    async with worker:
        await env.until(lambda: env.progress().count(("heartbeat", None)) >= 3, "heartbeats after the function")
        away = False
        await env.settled(1)

    assert len(env.results()) == 1


async def test_an_interval_below_the_least_is_not_heeded(env: WorkerEnv) -> None:
    """A task that asks for a heartbeat every millisecond would fill the progress topic."""
    worker = env.worker()
    _, gate = gated(env, worker)
    env.send_watched(every=0.001)
    async with worker:
        await env.until(env.progress, "the start")
        begun = asyncio.get_running_loop().time()
        await env.until(lambda: len(env.progress()) > 4, "four heartbeats")
        assert asyncio.get_running_loop().time() - begun > 0.1
        gate.set()
