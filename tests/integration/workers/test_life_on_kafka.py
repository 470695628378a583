"""The life of tasks on a real Kafka: result before offset, copies, poison, drain, kill -9."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.protocol import MissingTopicError, TaskType
from kallback.settings import Settings, Topics
from kallback.workers import Client, Worker

if TYPE_CHECKING:
    from tests.integration.workers.environment import KafkaWorkerEnv

pytestmark = pytest.mark.integration


async def test_tasks_become_results(env: KafkaWorkerEnv) -> None:
    """A hundred tasks, a hundred results with their tokens."""
    worker = env.worker()
    env.cook(worker)
    async with worker:
        await asyncio.gather(*(env.send(f"t{number}") for number in range(100)))
        results = await env.read(env.results_topic, 100)

    assert {seen.headers["kallback-token"] for seen in results} == {f"kb1:t{number}" for number in range(100)}
    assert {seen.value for seen in results if seen.task_id == "t7"} == {b'"hot t7"'}


async def test_a_task_without_acknowledged_result_comes_again(env: KafkaWorkerEnv) -> None:
    """A worker that gives up before its result is published commits nothing: the next one does the task."""
    worker = env.worker(drain_timeout=0)
    begun = asyncio.Event()

    @worker.task(env.prepare)
    async def stuck(_dish: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    await env.send("t1")
    async with worker:
        await asyncio.wait_for(begun.wait(), 60)
    successor = env.worker()
    done = env.cook(successor)
    async with successor:
        assert await env.results(1) == ["t1"]
    assert done == ["t1"]


async def test_what_is_committed_does_not_come_again(env: KafkaWorkerEnv) -> None:
    """After a stop the next worker begins where the former ended."""
    first, second = env.worker(), env.worker()
    env.cook(first)
    done = env.cook(second)
    await env.send("t1")
    async with first:
        await env.results(1)
    await env.send("t2")
    async with second:
        assert await env.results(2) == ["t1", "t2"]

    assert done == ["t2"]


async def test_kill_9_in_the_middle_of_a_task(env: KafkaWorkerEnv) -> None:
    """The process is gone, its task is done by another worker."""
    process = await env.process()
    await env.send("slow")
    await env.line(process, "begun slow")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    successor = env.worker()
    done = env.cook(successor)

    async with successor:
        assert await env.results(1) == ["slow"]
    assert done == ["slow"]


async def test_sigterm_drains_a_process(env: KafkaWorkerEnv) -> None:
    """The task that runs is finished and published, then the process ends with code 0."""
    process = await env.process()
    await env.send("brief")
    await env.line(process, "begun brief")
    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert await env.results(1) == ["brief"]


@pytest.mark.parametrize("client", [Client.AIOKAFKA], indirect=True)
async def test_a_rebalance_attaches_the_copy_of_a_running_task(env: KafkaWorkerEnv) -> None:
    """A member joins, the record comes again to the same process: the work is done once and then committed.

    So it is with eager rebalances; cooperative ones leave the partition where it is.
    The joining member reads another topic, so the partition surely comes back to the first.
    """
    worker, other = env.worker(), env.worker()
    gate = asyncio.Event()
    runs: list[str] = []

    @worker.task(env.prepare)
    async def cook(dish: str) -> str:
        runs.append(dish)
        await gate.wait()
        return dish

    @other.task(TaskType("wash", request=str, result=str, topic=env.make_topic("wash")))
    async def wash(dish: str) -> str:
        return dish

    await env.send("t1")
    async with worker:
        await env.until(lambda: runs, "the task to run")
        async with other:
            await env.until(lambda: worker.counts.attached, "the copy to attach")
            gate.set()
            assert await env.results(1) == ["t1"]
    assert runs == ["t1"]

    successor = env.worker()
    again = env.cook(successor)
    await env.send("t2")
    async with successor:
        await env.results(2)
    assert again == ["t2"]


async def test_two_workers_share_and_lose_nothing(env: KafkaWorkerEnv) -> None:
    """While members come and go, every task gets its result."""
    workers = [env.worker(), env.worker()]
    for worker in workers:
        env.cook(worker)
    for number in range(50):
        await env.send(f"a{number:02}")
    async with workers[0]:
        async with workers[1]:
            for number in range(50):
                await env.send(f"b{number:02}")
        results = await env.results(100)

    assert len(set(results)) == 100


async def test_no_more_tasks_run_than_allowed(env: KafkaWorkerEnv) -> None:
    """With a concurrency of 2, two of twenty run at a time, and all are done."""
    worker = env.worker(concurrency=2)
    running: set[str] = set()
    most: list[int] = []

    @worker.task(env.prepare)
    async def cook(dish: str) -> str:
        running.add(dish)
        most.append(len(running))
        await asyncio.sleep(0)
        running.discard(dish)
        return dish

    for number in range(20):
        await env.send(f"t{number}")
    async with worker:
        assert len(await env.results(20)) == 20

    assert max(most) == 2


async def test_poison_does_not_stop_the_good(env: KafkaWorkerEnv) -> None:
    """Records that can never succeed are dead-lettered around the good one."""
    worker = env.worker(concurrency=1)
    env.cook(worker)
    await env.put(env.group, b"no headers")
    await env.put(env.group, None)
    await env.send("wash", task_type="wash")
    await env.send("broken", b"{")
    await env.send("nowhere", reply_to="no topic")
    await env.send("good")

    async with worker:
        assert await env.results(2) == ["broken", "good"]
        assert await env.dead(5) == [
            "not-a-task",
            "not-a-task",
            "refused-reply-topic",
            "undecodable-task",
            "unknown-task-type",
        ]


async def test_reply_topics_that_do_not_exist_hold_no_slot(
    env: KafkaWorkerEnv, caplog: pytest.LogCaptureFixture
) -> None:
    """160 tasks that ask for results and progress on missing topics are not run, and the good one is done at once."""
    worker = env.worker(concurrency=1, reply_topics=frozenset({"*"}))
    done = env.cook(worker)
    missing = [f"missing-{number}" for number in range(160)]
    await asyncio.gather(*(env.send(each, reply_to=each, progress_to=each, heartbeat_every_ms=1) for each in missing))
    await env.send("good")

    async with worker:
        assert await env.results(1) == ["good"]  # 160 waits of 5 s would be more than the patience of this test
        assert await env.dead(160) == ["refused-reply-topic"] * 160

    assert done == ["good"]
    lines = [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert len(lines) < 20, [line.getMessage() for line in lines[:20]]


async def test_progress_to_a_missing_topic_costs_progress_only(env: KafkaWorkerEnv) -> None:
    """Its task is done, and holds its slot no longer than others."""
    worker = env.worker(concurrency=1, reply_topics=frozenset({"*"}))
    env.cook(worker)
    for number in range(20):
        await env.send(f"t{number:02}", progress_to=f"missing-{number}", heartbeat_every_ms=1)

    async with worker:
        assert len(await env.results(20)) == 20


async def test_no_result_goes_to_a_topic_of_another_part(env: KafkaWorkerEnv) -> None:
    """A forged task names the control topic, a task topic and the dead letters as its reply topic."""
    worker = env.worker(reply_topics=frozenset({"*"}))
    done = env.cook(worker)
    topics = env.settings.topics
    for number, topic in enumerate((topics.control, topics.dead_letters, topics.outcomes, env.group)):
        await env.send(f"reply{number}", reply_to=topic)
        await env.send(f"progress{number}", progress_to=topic)

    async with worker:
        assert await env.dead(8) == ["refused-reply-topic"] * 8
    assert done == []


async def test_a_result_larger_than_its_topic(env: KafkaWorkerEnv) -> None:
    """The broker refuses it; the caller gets a failed result instead."""
    narrow = env.make_topic("narrow", config={"max.message.bytes": "10000"})
    worker = env.worker(reply_topics=frozenset({narrow}))

    @worker.task(env.prepare)
    async def cook(_dish: str) -> str:
        return "x" * 20_000

    await env.send("big", reply_to=narrow)
    async with worker:
        (result,) = await env.read(narrow, 1)

    assert result.headers["kallback-status"] == "failed"
    assert b"urn:kallback:result-too-large" in (result.value or b"")


async def test_cpu_bound_threads_do_not_stop_the_others(env: KafkaWorkerEnv) -> None:
    """While a plain function computes, coroutines are fetched, done and published."""
    quick = TaskType("quick", request=str, result=str, topic=env.make_topic("quick"))
    worker = env.worker()
    enough, busy = threading.Event(), threading.Event()

    @worker.task(env.prepare)
    def compute(dish: str) -> str:
        busy.set()
        while not enough.is_set():
            sum(range(1_000))
        return dish

    @worker.task(quick)
    async def answer(dish: str) -> str:
        return dish

    await env.send("heavy")
    async with worker:
        try:
            await env.until(busy.is_set, "the computing")
            env.group, tasks = quick.topic, env.group
            await env.send("light", task_type="quick")
            env.group = tasks
            assert await env.results(1) == ["light"]
        finally:
            enough.set()
        assert await env.results(2) == ["heavy", "light"]


@pytest.mark.parametrize("missing", ["results", "control", "dead_letters"])
async def test_a_missing_topic_names_its_command(env: KafkaWorkerEnv, missing: str) -> None:
    """A start without one of the topics says which, and what creates it."""
    names: Any = {name: getattr(env.settings.topics, name) for name in ("results", "control", "dead_letters")}
    settings = Settings(kafka=env.settings.kafka, topics=Topics(**names | {missing: "not-there"}))
    worker = Worker(env.group, settings=settings)
    env.cook(worker)

    with pytest.raises(MissingTopicError, match=r"'not-there'.*kallback topics create"):
        await worker.start()


async def test_a_missing_task_topic_names_its_command(env: KafkaWorkerEnv) -> None:
    """The task topic is looked for as well."""
    worker = env.worker()
    worker.task(TaskType("nobody.made.this", request=str, result=str))(lambda text: text)

    with pytest.raises(MissingTopicError, match=r"'nobody\.made\.this'.*kallback topics create"):
        await worker.start()
