"""Limits of task types and order within a key, seen from a whole worker."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from kallback.kafka import TopicPartition
from kallback.workers import TaskContext, Worker

if TYPE_CHECKING:
    from tests.unit.workers.conftest import Bench


def gated(bench: Bench, worker: Worker, **registration: Any) -> tuple[list[str], dict[str, asyncio.Event]]:
    """Register a function that waits for an event of its own; returns what has begun, and the events."""
    begun: list[str] = []
    gates: dict[str, asyncio.Event] = {}

    @worker.task(bench.prepare, **registration)
    async def cook(order: Any, task: TaskContext) -> Any:
        begun.append(task.task_id)
        await gates.setdefault(task.task_id, asyncio.Event()).wait()
        return bench.prepared_type(order.dish)

    return begun, gates


async def test_no_more_of_a_type_run_than_its_limit(bench: Bench) -> None:
    """The next one begins when one ends."""
    worker = bench.worker()
    begun, gates = gated(bench, worker, concurrency=2)
    for number in range(3):
        bench.send(f"t{number}")
    async with worker:
        await bench.until(lambda: len(begun) == 2, "two tasks")
        await bench.until(lambda: bench.clients.consumers[0].unfinished() == 3, "the third to be fetched")
        assert begun == ["t0", "t1"]
        gates["t0"].set()
        await bench.until(lambda: begun == ["t0", "t1", "t2"], "the third task")
        gates["t1"].set()
        gates["t2"].set()
        await bench.settled(3)


async def test_a_full_type_does_not_keep_another_from_being_fetched(bench: Bench) -> None:
    """A thousand tasks of a full type lie before one of another type, in another topic: it is done at once."""
    worker = bench.worker(concurrency=4, held_back=10)
    _, gates = gated(bench, worker, concurrency=1)
    done = bench.cook(worker, dataclasses.replace(bench.prepare, name="quick", topic="elsewhere"))
    for number in range(1_000):
        bench.send(f"t{number}")
    bench.send("light", task_type="quick", topic="elsewhere")

    async with worker:
        await bench.until(lambda: done == ["light"], "the other type")
        assert bench.clients.consumers[0].unfinished() <= 4 + 10 + len(done)
        for number in range(1_000):
            gates.setdefault(f"t{number}", asyncio.Event()).set()
        await bench.settled(1_000)


async def test_tasks_of_one_key_run_in_order(bench: Bench) -> None:
    """The second of a key waits for the first; other keys and records without a key go on."""
    worker = bench.worker()
    begun, gates = gated(bench, worker, ordered=True)
    for task_id, key in (("a1", b"a"), ("a2", b"a"), ("b1", b"b"), ("bare", None), ("a3", b"a")):
        bench.send(task_id, key=key)
    async with worker:
        await bench.until(lambda: begun == ["a1", "b1", "bare"], "one of each key")
        gates["a1"].set()
        await bench.until(lambda: begun == ["a1", "b1", "bare", "a2"], "the second of the key")
        for task_id in ("a2", "a3", "b1", "bare"):
            gates.setdefault(task_id, asyncio.Event()).set()
        await bench.settled(5)

    assert begun[-1] == "a3"


async def test_a_task_cancelled_while_it_was_held_is_skipped(bench: Bench) -> None:
    """It is judged again when its turn comes."""
    worker = bench.worker()
    begun, gates = gated(bench, worker, concurrency=1)
    bench.send("t1")
    bench.send("t2")
    async with worker:
        await bench.until(lambda: bench.clients.consumers[0].unfinished() == 2, "both to be fetched")
        bench.cancel("t2")
        assert worker._session is not None
        memory = worker._session._follower._memory
        await bench.until(lambda: len(memory) == 1, "the cancel to be read")
        gates["t1"].set()
        await bench.settled(2)

    assert (begun, worker.counts.skipped_cancelled) == (["t1"], 1)


async def test_a_task_whose_time_ran_out_while_it_was_held_is_skipped(bench: Bench) -> None:
    """A busy key may keep it waiting past its deadline."""
    worker = bench.worker()
    begun, gates = gated(bench, worker, ordered=True)
    bench.send("t1", key=b"a")
    bench.send("t2", key=b"a", start_by_ms=int(bench.now * 1000) + 1_000)
    async with worker:
        await bench.until(lambda: bench.clients.consumers[0].unfinished() == 2, "both to be fetched")
        bench.now += 7
        gates["t1"].set()
        await bench.settled(2)

    assert (begun, worker.counts.skipped_expired) == (["t1"], 1)


async def test_what_is_held_at_a_stop_is_left_to_another_worker(bench: Bench) -> None:
    """Only what runs is drained."""
    worker = bench.worker()
    begun, gates = gated(bench, worker, concurrency=1)
    bench.send("t1")
    bench.send("t2")
    await worker.start()
    await bench.until(lambda: bench.clients.consumers[0].unfinished() == 2, "both to be fetched")
    stopping = asyncio.create_task(worker.stop())
    await bench.until(lambda: worker.counts.abandoned == 1, "the held one to be given back")
    gates["t1"].set()
    await stopping

    assert (begun, bench.committed()) == (["t1"], 1)


async def test_what_is_held_of_a_lost_partition_is_not_begun(bench: Bench) -> None:
    """Another worker has it: beginning it here would do the work twice."""
    worker = bench.worker()
    begun, gates = gated(bench, worker, concurrency=1)
    bench.send("t1")
    bench.send("t2")
    async with worker:
        await bench.until(lambda: bench.clients.consumers[0].unfinished() == 2, "both to be fetched")
        bench.clients.consumers[0]._buffer.forget([TopicPartition("orders", 0)])
        gates["t1"].set()
        await bench.until(lambda: worker.counts.abandoned == 1, "the held one to be given back")

    assert begun == ["t1"]
