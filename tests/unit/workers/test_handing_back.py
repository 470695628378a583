"""A worker that stops hands back what it has not finished, if the caller takes it."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from kallback.kafka import ConsumerOptions
from kallback.protocol import TaskType
from kallback.workers import TaskContext, Worker

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv


def working(env: WorkerEnv, worker: Worker, *, acknowledge: Any = "result", ordered: bool = False) -> asyncio.Event:
    """Register a function that says how far it is and never returns; the event says that it runs."""
    begun = asyncio.Event()
    watched = TaskType(
        "prepare", request=dict, result=str, topic=env.prepare.topic, heartbeat_every=timedelta(seconds=60)
    )

    @worker.task(watched, acknowledge=acknowledge, ordered=ordered)
    async def cook(_order: dict[str, Any], task: TaskContext) -> str:
        task.heartbeat({"done": 7})
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task.heartbeat({"done": 8})
            raise
        return ""

    return begun


def gate_waiting(gate: asyncio.Event) -> Any:
    """A function that returns when the gate is open."""

    async def wait(_order: dict[str, Any]) -> str:
        await gate.wait()
        return ""

    return wait


def handed_back(env: WorkerEnv) -> list[dict[str, Any]]:
    """The problems of all results."""
    return [msgspec.json.decode(record.value or b"") for record in env.broker.records(env.topics.results)]


async def stopped_at_work(worker: Worker, begun: asyncio.Event) -> None:
    """Start a worker, and stop it while a function runs that does not end."""
    await worker.start()
    await begun.wait()
    await worker.stop()


@pytest.mark.parametrize("acknowledge", ["result", "start"])
async def test_an_unfinished_attempt_is_handed_back_with_its_last_details(env: WorkerEnv, acknowledge: str) -> None:
    """What the function leaves while it is interrupted counts; the record is done, because another attempt follows."""
    worker = env.worker(drain_timeout=0.01)
    begun = working(env, worker, acknowledge=acknowledge)
    env.send_watched(hand_back=True)
    await stopped_at_work(worker, begun)
    (problem,) = handed_back(env)
    assert (problem["type"], problem["retryable"]) == ("urn:kallback:handed-back", True)
    assert (problem["last_details"], problem["partitions"]) == ('{"done":8}', "0")
    assert (env.committed(), worker.counts.handed_back, worker.counts.abandoned) == (1, 1, 0)


async def test_what_the_attempt_began_with_is_handed_back_if_nothing_was_said(env: WorkerEnv) -> None:
    """Otherwise two deployments in a row would lose the progress."""
    worker = env.worker(drain_timeout=0.01)
    begun = asyncio.Event()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    env.send(hand_back=True, last_details=b'{"price": 1.10}')
    await stopped_at_work(worker, begun)
    assert [problem["last_details"] for problem in handed_back(env)] == ['{"price": 1.10}']


async def test_a_caller_that_does_not_take_it_back_gets_nothing(env: WorkerEnv) -> None:
    """To a caller of an earlier version it would be a failed attempt; Kafka delivers the record again."""
    worker = env.worker(drain_timeout=0.01)
    begun = working(env, worker)
    env.send_watched()
    await stopped_at_work(worker, begun)
    assert (handed_back(env), env.committed(), worker.counts.abandoned) == ([], 0, 1)


async def test_a_function_that_ignores_the_end_is_handed_back_nevertheless(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread ends with the process; the next attempt does not wait for it."""
    monkeypatch.setattr("kallback.workers.intake.in_flight._CLEAN_UP_TIMEOUT_S", 0.01)
    worker = env.worker(drain_timeout=0)
    begun, gate = threading.Event(), threading.Event()

    @worker.task(env.prepare)
    def cook(_order: Any) -> Any:
        begun.set()
        gate.wait()

    env.send(hand_back=True)
    await worker.start()
    await env.until(begun.is_set, "the thread")
    await worker.stop()
    gate.set()
    assert [problem["type"] for problem in handed_back(env)] == ["urn:kallback:handed-back"]
    assert env.committed() == 1
    assert "ignores its interruption" in caplog.text


async def test_without_kafka_nothing_is_handed_back(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop is bounded, and the record stays undone."""
    monkeypatch.setattr("kallback.workers.intake.in_flight._CLEAN_UP_TIMEOUT_S", 0.01)
    monkeypatch.setattr("kallback.workers.intake.in_flight._HAND_BACK_TIMEOUT_S", 0.01)
    worker = env.worker(drain_timeout=0)
    begun = working(env, worker)
    env.send_watched(hand_back=True)
    await worker.start()
    await begun.wait()
    env.broker.available = False
    await worker.stop()
    env.broker.available = True
    assert (handed_back(env), env.committed(), worker.counts.abandoned) == ([], 0, 1)


async def test_a_rebalance_leaves_an_attempt_with_heartbeats_where_it_is(env: WorkerEnv) -> None:
    """It does not wait for it, and its record is done: the next owner of the partition does not begin it anew."""
    worker = env.worker(consumer=ConsumerOptions(drain_timeout=600))
    begun = working(env, worker)
    env.send_watched(every=0.2, hand_back=True, retry_lost=True)
    await worker.start()
    await begun.wait()
    await env.until(lambda: len(env.progress()) > 1, "a heartbeat")
    (partition,) = env.clients.consumers[0].assignment()
    async with asyncio.timeout(60):
        await env.clients.consumers[0].give_up([partition])
    assert env.committed() == 1
    await worker.stop()


async def test_the_record_of_an_attempt_that_is_not_replaced_outlives_a_rebalance(env: WorkerEnv) -> None:
    """A type without retries, or a last attempt: if this worker dies later, only the redelivery continues the task."""
    worker = env.worker()
    begun = working(env, worker)
    env.send_watched(every=0.2, hand_back=True)
    await worker.start()
    await begun.wait()
    await env.until(lambda: len(env.progress()) > 1, "a heartbeat")
    (partition,) = env.clients.consumers[0].assignment()
    giving = asyncio.create_task(env.clients.consumers[0].give_up([partition]))
    await env.until(lambda: len(env.progress()) > 3, "more heartbeats")
    assert (env.committed(), giving.done()) == (0, False)
    await worker.stop()
    await giving
    assert [problem["type"] for problem in handed_back(env)] == ["urn:kallback:handed-back"]


async def test_a_rebalance_does_not_wait_for_what_has_not_begun(env: WorkerEnv) -> None:
    """A record that waits for a slot of its type is left to the next owner at once."""
    worker = env.worker()
    gate = asyncio.Event()

    @worker.task(env.prepare, concurrency=1)
    async def cook(order: Any) -> Any:
        await gate.wait()
        return env.prepared_type(order.dish)

    env.send("t1")
    env.send("t2")
    await worker.start()
    await env.until(lambda: worker.running().held_back.get("limit"), "a record that is held")
    (partition,) = env.clients.consumers[0].assignment()
    giving = asyncio.create_task(env.clients.consumers[0].give_up([partition]))
    await env.until(lambda: not worker.running().held_back.get("limit"), "the record to be released")
    gate.set()
    async with asyncio.timeout(60):
        await giving
    assert env.committed() == 1
    await worker.stop()


async def stopping_at_work(env: WorkerEnv, worker: Worker, begun: asyncio.Event) -> asyncio.Task[None]:
    """Start a worker, and ask it to stop while a function runs that said that it began."""
    await worker.start()
    await begun.wait()
    await env.until(lambda: len(env.progress()) > 1, "a heartbeat")
    return asyncio.create_task(worker.stop())


async def test_a_drain_leaves_the_group_when_callers_replace_what_runs(env: WorkerEnv) -> None:
    """Another worker takes new tasks of its partitions at once, and does not begin the running one anew."""
    worker, other = env.worker(drain_timeout=600), env.worker()
    begun, done = working(env, worker), env.cook(other)
    env.send_watched("running", every=0.2, hand_back=True, retry_lost=True)
    stopping = await stopping_at_work(env, worker, begun)
    await other.start()
    env.send("new")
    await env.until(lambda: done, "the new task")
    assert (done, stopping.done()) == (["new"], False)
    env.cancel("running")
    await stopping
    await other.stop()
    assert env.committed() == 2


@pytest.mark.parametrize("why", ["no-heartbeats", "last-attempt", "instance-id", "ordered", "short"])
async def test_a_drain_stays_in_the_group_while_a_task_needs_it(env: WorkerEnv, why: str) -> None:
    """Otherwise another worker would begin a task a second time, or the next task of a key beside the running one."""
    name = "kitchen-1" if why == "instance-id" else None
    seconds = 4.0 if why == "short" else 600
    worker = env.worker(drain_timeout=seconds, consumer=ConsumerOptions(group_instance_id=name))
    begun = working(env, worker, ordered=why == "ordered")
    env.send_watched("running", every=0.2, hand_back=True, retry_lost=why != "last-attempt", key=b"table-4")
    gate = asyncio.Event()
    if why == "no-heartbeats":
        env.send("plain", task_type="plain")
        worker.task(TaskType("plain", request=dict, result=str, topic=env.prepare.topic))(gate_waiting(gate))
    stopping = await stopping_at_work(env, worker, begun)
    before = len(env.progress())
    await env.until(lambda: len(env.progress()) > before + 1, "heartbeats during the drain")
    assert env.clients.consumers[0].assignment()
    env.cancel("running")
    gate.set()
    await stopping
    assert not env.clients.consumers[0].assignment()
