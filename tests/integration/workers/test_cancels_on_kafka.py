"""Cancels on a real Kafka: running, overtaking, and workers that join later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kallback.protocol.cancel_secrets import hash_of
from kallback.workers import StopReason, TaskContext

if TYPE_CHECKING:
    from tests.integration.workers.environment import KafkaWorkerEnv

pytestmark = pytest.mark.integration


async def test_a_cancel_reaches_the_running_task(env: KafkaWorkerEnv) -> None:
    """The coroutine is interrupted, nothing is published, and the next task is done."""
    worker = env.worker(concurrency=1)
    begun, interrupted = asyncio.Event(), asyncio.Event()

    @worker.task(env.prepare)
    async def cook(dish: str) -> str:
        if dish == "t1":
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                interrupted.set()
                raise
        return dish

    await env.send("t1")
    await env.send("t2")
    async with worker:
        await asyncio.wait_for(begun.wait(), 60)
        await env.cancel("t1")
        assert await env.results(1) == ["t2"]

    assert interrupted.is_set()


async def test_a_cancel_and_the_stop_of_the_worker_are_told_apart(env: KafkaWorkerEnv) -> None:
    """One task is cancelled, the other goes on elsewhere: only the first may be undone."""
    worker = env.worker(concurrency=2, drain_timeout=0.1)
    begun, reasons = set[str](), dict[str, StopReason | None]()

    @worker.task(env.prepare)
    async def cook(dish: str, task: TaskContext) -> str:
        begun.add(dish)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reasons[dish] = task.stop_reason
            raise
        return dish

    await env.send("t1")
    await env.send("t2")
    async with worker:
        await env.until(lambda: begun == {"t1", "t2"}, "both to run")
        await env.cancel("t1")
        await env.until(lambda: worker.counts.cancelled == 1, "the cancel")

    assert reasons == {"t1": StopReason.CANCELLED, "t2": StopReason.WORKER_STOPPING}


async def test_a_cancel_may_overtake_its_task(env: KafkaWorkerEnv) -> None:
    """A cancel that came while the worker was running is remembered until the task comes."""
    worker = env.worker(concurrency=1)
    begun = asyncio.Event()

    @worker.task(env.prepare)
    async def cook(dish: str) -> str:
        if dish == "marker":
            begun.set()
            await asyncio.Event().wait()
        return dish

    await env.send("marker")
    async with worker:
        await asyncio.wait_for(begun.wait(), 60)
        await env.send("t1")
        await env.send("t2")
        await env.cancel("t1")
        await env.cancel("marker")  # ends the running one, so the cancel of t1 is known before t1 is looked at
        assert await env.results(1) == ["t2"]

    assert (worker.counts.cancelled, worker.counts.skipped_cancelled) == (1, 1)


async def test_a_worker_that_joins_later_skips_what_was_cancelled(env: KafkaWorkerEnv) -> None:
    """All partitions of the control topic are read to their ends before the first task is looked at."""
    for number in range(20):
        await env.send(f"t{number:02}")
        await env.cancel(f"t{number:02}")
    await env.send("good")
    worker = env.worker()
    done = env.cook(worker)

    async with worker:
        assert await env.results(1) == ["good"]

    assert done == ["good"]


SECRET = "the secret of this task"


async def test_only_an_authentic_cancel_stops_the_running_task(env: KafkaWorkerEnv) -> None:
    """Forged ones, without a secret or with another one, are refused and counted."""
    worker = env.worker(concurrency=1)
    begun, interrupted = asyncio.Event(), asyncio.Event()

    @worker.task(env.prepare)
    async def cook(dish: str) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()
        return dish

    await env.send("t1", cancel_hash=hash_of(SECRET))
    async with worker:
        await asyncio.wait_for(begun.wait(), 60)
        await env.cancel("t1")
        await env.cancel("t1", secret="forged")
        await env.until(lambda: sum(worker.refused_cancels.values()) == 2, "two refusals")
        assert not interrupted.is_set()
        await env.cancel("t1", secret=SECRET)
        await asyncio.wait_for(interrupted.wait(), 60)

    assert worker.counts.cancelled == 1


async def test_only_an_authentic_cancel_skips_the_task_that_it_overtook(env: KafkaWorkerEnv) -> None:
    """A worker that joins later finds 200 forged cancels of one task, and an authentic one of another."""
    await asyncio.gather(*(env.cancel("forged", secret=f"forged {number}") for number in range(200)))
    await asyncio.gather(*(env.cancel("real", secret=f"forged {number}") for number in range(200)))
    await env.cancel("real", secret=SECRET)
    for task_id in ("forged", "real"):
        await env.send(task_id, cancel_hash=hash_of(SECRET))
    worker = env.worker()
    done = env.cook(worker)

    async with worker:
        assert await env.results(1) == ["forged"]
        await env.until(lambda: worker.counts.skipped_cancelled, "the other task to be skipped")

    assert done == ["forged"]
