"""Topics of the installation that refuse what a worker writes: it holds back, says why, and goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.unit.workers.environment import Order, Prepared

from kallback.kafka import ConsumerOptions, OutgoingRecord
from kallback.workers.observability.health import liveness, readiness

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv


@pytest.mark.parametrize("what", ["results", "dead letters"])
async def test_a_worker_whose_writes_are_refused_goes_on_when_they_are_allowed(env: WorkerEnv, what: str) -> None:
    """It is not ready meanwhile and says why; nothing is lost and nothing is done twice."""
    topics = env.topics
    topic = {"results": topics.results, "dead letters": topics.dead_letters}[what]
    worker = env.worker()
    done = env.cook(worker)
    async with worker:
        env.broker.denied.add(topic)
        env.send("t1")
        env.broker.append(OutgoingRecord("orders", b"no task"))
        await env.until(lambda: "needs WRITE on it" in str(readiness(worker).reasons), "the sentence")
        assert topic in readiness(worker).reasons[0]
        assert liveness(worker, 0.0).ok
        env.broker.denied.clear()
        await env.until(lambda: env.results() and env.dead(), "what was held back")
        await env.settled(2)
        await env.until(lambda: readiness(worker).ok, "readiness")
    assert (done, len(env.results()), env.dead()) == (["t1"], 1, ["not-a-task"])


async def test_a_worker_whose_progress_is_refused_sends_results_and_goes_on(env: WorkerEnv) -> None:
    """Types without heartbeats need no progress topic; heartbeats go on when they are allowed."""
    worker, release = env.worker(), asyncio.Event()

    @worker.task(env.prepare)
    async def cook(order: Order) -> Prepared:
        if order.dish == "stew":
            await release.wait()
        return Prepared(order.dish)

    async with worker:
        env.broker.denied.add(env.topics.progress)
        env.send_watched("t1", value=b'{"dish":"stew"}', every=0.1)
        await env.until(lambda: env.topics.progress in str(readiness(worker).reasons), "the sentence")
        env.send("t2")
        await env.until(env.results, "the result of another task")
        env.broker.denied.clear()
        await env.until(env.progress, "a heartbeat")
        await env.until(lambda: readiness(worker).ok, "readiness")
        release.set()
        await env.until(lambda: len(env.results()) == 2, "both results")


async def test_results_are_published_while_dead_letters_are_refused(env: WorkerEnv) -> None:
    """Records that are no tasks cannot stop the tasks of others."""
    worker = env.worker(concurrency=1)
    env.cook(worker)
    async with worker:
        env.broker.denied.add(env.topics.dead_letters)
        for number in range(20):
            env.broker.append(OutgoingRecord("orders", b"no task"))
            env.send(f"t{number}")
        await env.until(lambda: len(env.results()) == 20, "all results")
        assert env.committed() == 0
        env.broker.denied.clear()
        await env.settled(40)


@pytest.mark.parametrize(
    ("value", "changes", "answers"),
    [(b"17", {}, 1), (b"{}", {"task_type": "unknown"}, 0), (None, None, 0)],
    ids=["rejected", "unknown", "no-tasks"],
)
async def test_records_that_wait_for_their_dead_letters_take_no_place_from_tasks(
    env: WorkerEnv, value: bytes | None, changes: dict[str, str] | None, answers: int
) -> None:
    """However many there are within the bounds; each gets its dead letter, or is counted, when they are taken again."""
    bad = 200 if answers else 500
    worker = env.worker(concurrency=1, held_back=1, consumer=ConsumerOptions(unfinished_records=3))
    done = env.cook(worker)
    async with worker:
        env.broker.denied.add(env.topics.dead_letters)
        for number in range(bad):
            if changes is None:
                env.put("orders", b"no task")
            else:
                env.send(f"bad{number}", value, **changes)
        for number in range(5):
            env.send(f"t{number}")
        await env.until(lambda: len(done) == 5, "all tasks")
        await env.until(lambda: len(env.results()) == 5 + answers * bad, "all results")
        assert (env.dead(), env.committed()) == ([], 0)
        env.broker.denied.clear()
        await env.settled(bad + 5)
    assert worker.counts.dead_lettered == bad


async def test_a_small_result_waits_for_a_topic_that_takes_not_even_small_records(env: WorkerEnv) -> None:
    """The size that the topic allows is wrong, and not the result: it is no dead letter, and its task is done once."""
    worker = env.worker()
    done = env.cook(worker)
    async with worker:
        env.broker._largest[env.topics.results] = 10
        env.send("t1")
        await env.until(lambda: "max.message.bytes" in str(readiness(worker).reasons), "the sentence")
        env.broker._largest[env.topics.results] = 1_000_000
        await env.settled(1)
        await env.until(lambda: readiness(worker).ok, "readiness")
    assert (done, [each.status for each in env.results()], env.dead()) == (["t1"], ["completed"], [])
