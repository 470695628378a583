"""Limits of task types and order within a key, seen from a whole worker."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import TopicPartition
from kallback.workers import TaskContext, Worker

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv


def gated(env: WorkerEnv, worker: Worker, **registration: Any) -> tuple[list[str], dict[str, asyncio.Event]]:
    """Register a function that waits for an event of its own; returns what has begun, and the events."""
    begun: list[str] = []
    gates: dict[str, asyncio.Event] = {}

    @worker.task(env.prepare, **registration)
    async def cook(order: Any, task: TaskContext) -> Any:
        begun.append(task.task_id)
        await gates.setdefault(task.task_id, asyncio.Event()).wait()
        return env.prepared_type(order.dish)

    return begun, gates


async def test_no_more_of_a_type_run_than_its_limit(env: WorkerEnv) -> None:
    """The next one begins when one ends."""
    worker = env.worker()
    begun, gates = gated(env, worker, concurrency=2)
    for number in range(3):
        env.send(f"t{number}")
    async with worker:
        await env.until(lambda: len(begun) == 2, "two tasks")
        await env.until(lambda: env.clients.consumers[0].unfinished() == 3, "the third to be fetched")
        assert begun == ["t0", "t1"]
        gates["t0"].set()
        await env.until(lambda: begun == ["t0", "t1", "t2"], "the third task")
        gates["t1"].set()
        gates["t2"].set()
        await env.settled(3)


async def test_a_full_type_does_not_keep_another_from_being_fetched(env: WorkerEnv) -> None:
    """A thousand tasks of a full type lie before one of another type, in another topic: it is done at once."""
    worker = env.worker(concurrency=4, held_back=10)
    _, gates = gated(env, worker, concurrency=1)
    done = env.cook(worker, dataclasses.replace(env.prepare, name="quick", topic="elsewhere"))
    for number in range(1_000):
        env.send(f"t{number}")
    env.send("light", task_type="quick", topic="elsewhere")

    async with worker:
        await env.until(lambda: done == ["light"], "the other type")
        assert env.clients.consumers[0].unfinished() <= 4 + 10 + len(done)
        for number in range(1_000):
            gates.setdefault(f"t{number}", asyncio.Event()).set()
        await env.settled(1_000)


async def test_tasks_of_one_key_run_in_order(env: WorkerEnv) -> None:
    """The second of a key waits for the first; other keys and records without a key go on."""
    worker = env.worker()
    begun, gates = gated(env, worker, ordered=True)
    for task_id, key in (("a1", b"a"), ("a2", b"a"), ("b1", b"b"), ("bare", None), ("a3", b"a")):
        env.send(task_id, key=key)
    async with worker:
        await env.until(lambda: begun == ["a1", "b1", "bare"], "one of each key")
        gates["a1"].set()
        await env.until(lambda: begun == ["a1", "b1", "bare", "a2"], "the second of the key")
        for task_id in ("a2", "a3", "b1", "bare"):
            gates.setdefault(task_id, asyncio.Event()).set()
        await env.settled(5)

    assert begun[-1] == "a3"


async def test_a_task_cancelled_while_it_was_held_is_skipped(env: WorkerEnv) -> None:
    """It is decided on again when its turn comes."""
    worker = env.worker()
    begun, _ = gated(env, worker, concurrency=1)
    env.send("t1")
    env.send("t2")
    async with worker:
        await env.until(lambda: env.clients.consumers[0].unfinished() == 2, "both to be fetched")
        env.cancel("t2")
        env.cancel("t1")  # read after the other one, and makes room
        await env.settled(2)

    assert (begun, worker.counts.cancelled, worker.counts.skipped_cancelled) == (["t1"], 1, 1)


async def test_a_task_whose_time_ran_out_while_it_was_held_is_skipped(env: WorkerEnv) -> None:
    """A busy key may keep it waiting past its deadline."""
    worker = env.worker()
    begun, gates = gated(env, worker, ordered=True)
    env.send("t1", key=b"a")
    env.send("t2", key=b"a", start_by_ms=int(env.now * 1000) + 1_000)
    async with worker:
        await env.until(lambda: env.clients.consumers[0].unfinished() == 2, "both to be fetched")
        env.now += 7
        gates["t1"].set()
        await env.settled(2)

    assert (begun, worker.counts.skipped_expired) == (["t1"], 1)


async def test_what_is_held_at_a_stop_is_left_to_another_worker(env: WorkerEnv) -> None:
    """Only what runs is drained."""
    worker = env.worker()
    begun, gates = gated(env, worker, concurrency=1)
    env.send("t1")
    env.send("t2")
    await worker.start()
    await env.until(lambda: env.clients.consumers[0].unfinished() == 2, "both to be fetched")
    stopping = asyncio.create_task(worker.stop())
    await env.until(lambda: worker.counts.abandoned == 1, "the held one to be given back")
    gates["t1"].set()
    await stopping

    assert (begun, env.committed()) == (["t1"], 1)


async def test_what_is_held_of_a_lost_partition_is_not_begun(env: WorkerEnv) -> None:
    """Another worker has it: beginning it here would do the work twice."""
    worker = env.worker()
    begun, gates = gated(env, worker, concurrency=1)
    env.send("t1")
    env.send("t2")
    async with worker:
        await env.until(lambda: env.clients.consumers[0].unfinished() == 2, "both to be fetched")
        env.clients.consumers[0]._buffer.forget([TopicPartition("orders", 0)])
        gates["t1"].set()
        await env.until(lambda: worker.counts.abandoned == 1, "the held one to be given back")

    assert begun == ["t1"]


@pytest.mark.parametrize("told", [True, False])
async def test_a_duplicate_elsewhere_is_done_when_the_held_one_is_lost(env: WorkerEnv, told: bool) -> None:  # noqa: FBT001
    """It waited for the held one to be done. This worker still has its partition, so nobody else would do it."""
    worker = env.worker()
    begun, gates = gated(env, worker, concurrency=1)
    env.cook(worker, dataclasses.replace(env.prepare, name="quick", topic="elsewhere"))
    lost = [TopicPartition("orders", 0)]
    env.send("t1")
    env.send("t2")
    async with worker:
        consumer = env.clients.consumers[0]
        await env.until(lambda: begun == ["t1"] and consumer.unfinished() == 2, "the second task to be held")
        env.send("t2", topic="elsewhere")
        await env.until(lambda: worker.counts.attached == 1, "the duplicate")
        if told:
            consumer._buffer.stop_handing_out(lost)
            await env.until(lambda: worker.counts.abandoned == 1, "the held one to be given back")
        consumer._buffer.forget(lost)
        for task_id in ("t1", "t2"):
            gates.setdefault(task_id, asyncio.Event()).set()
        await env.until(lambda: begun == ["t1", "t2"], "the duplicate to begin")
        await env.until(lambda: consumer.unfinished() == 0, "the duplicate to be done")
