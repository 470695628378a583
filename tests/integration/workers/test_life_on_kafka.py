"""The life of tasks on a real Kafka: result before offset, copies, poison, drain, kill -9."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.protocol import MissingTopicError, TaskType
from kallback.settings import Settings, Topics
from kallback.workers import Client, Worker

if TYPE_CHECKING:
    from tests.integration.workers.conftest import KafkaBench

pytestmark = pytest.mark.integration


async def test_tasks_become_results(bench: KafkaBench) -> None:
    """A hundred tasks, a hundred results with their tokens."""
    worker = bench.worker()
    bench.cook(worker)
    async with worker:
        await asyncio.gather(*(bench.send(f"t{number}") for number in range(100)))
        results = await bench.read(bench.results_topic, 100)

    assert {seen.headers["kallback-token"] for seen in results} == {f"kb1:t{number}" for number in range(100)}
    assert {seen.value for seen in results if seen.task_id == "t7"} == {b'"hot t7"'}


async def test_a_task_without_acknowledged_result_comes_again(bench: KafkaBench) -> None:
    """A worker that gives up before its result is published commits nothing: the next one does the task."""
    worker = bench.worker(drain_timeout=0)
    begun = asyncio.Event()

    @worker.task(bench.prepare)
    async def stuck(_dish: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    await bench.send("t1")
    async with worker:
        await asyncio.wait_for(begun.wait(), 30)
    successor = bench.worker()
    done = bench.cook(successor)
    async with successor:
        assert await bench.results(1) == ["t1"]
    assert done == ["t1"]


async def test_what_is_committed_does_not_come_again(bench: KafkaBench) -> None:
    """After a stop the next worker begins where the former ended."""
    first, second = bench.worker(), bench.worker()
    bench.cook(first)
    done = bench.cook(second)
    await bench.send("t1")
    async with first:
        await bench.results(1)
    await bench.send("t2")
    async with second:
        assert await bench.results(2) == ["t1", "t2"]

    assert done == ["t2"]


async def test_kill_9_in_the_middle_of_a_task(bench: KafkaBench) -> None:
    """The process is gone, its task is done by another worker."""
    process = await bench.process()
    await bench.send("slow")
    await bench.line(process, "begun slow")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    successor = bench.worker()
    done = bench.cook(successor)

    async with successor:
        assert await bench.results(1) == ["slow"]
    assert done == ["slow"]


async def test_sigterm_drains_a_process(bench: KafkaBench) -> None:
    """The task that runs is finished and published, then the process ends with code 0."""
    process = await bench.process()
    await bench.send("brief")
    await bench.line(process, "begun brief")
    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert await bench.results(1) == ["brief"]


@pytest.mark.parametrize("client", [Client.AIOKAFKA], indirect=True)
async def test_a_rebalance_attaches_the_copy_of_a_running_task(bench: KafkaBench) -> None:
    """A member joins, the record comes again to the same process: the work is done once and then committed.

    So it is with eager rebalances; cooperative ones leave the partition where it is.
    The joining member reads another topic, so the partition surely comes back to the first.
    """
    worker, other = bench.worker(), bench.worker()
    gate = asyncio.Event()
    runs: list[str] = []

    @worker.task(bench.prepare)
    async def cook(dish: str) -> str:
        runs.append(dish)
        await gate.wait()
        return dish

    @other.task(TaskType("wash", request=str, result=str, topic=bench.make_topic("wash")))
    async def wash(dish: str) -> str:
        return dish

    await bench.send("t1")
    async with worker:
        await bench.until(lambda: runs, "the task to run")
        async with other:
            await bench.until(lambda: worker.counts.attached, "the copy to attach")
            gate.set()
            assert await bench.results(1) == ["t1"]
    assert runs == ["t1"]

    successor = bench.worker()
    again = bench.cook(successor)
    await bench.send("t2")
    async with successor:
        await bench.results(2)
    assert again == ["t2"]


async def test_two_workers_share_and_lose_nothing(bench: KafkaBench) -> None:
    """While members come and go, every task gets its result."""
    workers = [bench.worker(), bench.worker()]
    for worker in workers:
        bench.cook(worker)
    for number in range(50):
        await bench.send(f"a{number:02}")
    async with workers[0]:
        async with workers[1]:
            for number in range(50):
                await bench.send(f"b{number:02}")
        results = await bench.results(100)

    assert len(set(results)) == 100


async def test_no_more_tasks_run_than_allowed(bench: KafkaBench) -> None:
    """With a concurrency of 2, two of twenty run at a time, and all are done."""
    worker = bench.worker(concurrency=2)
    running: set[str] = set()
    most: list[int] = []

    @worker.task(bench.prepare)
    async def cook(dish: str) -> str:
        running.add(dish)
        most.append(len(running))
        await asyncio.sleep(0)
        running.discard(dish)
        return dish

    for number in range(20):
        await bench.send(f"t{number}")
    async with worker:
        assert len(await bench.results(20)) == 20

    assert max(most) == 2


async def test_poison_does_not_stop_the_good(bench: KafkaBench) -> None:
    """Records that can never succeed are dead-lettered around the good one."""
    worker = bench.worker(concurrency=1)
    bench.cook(worker)
    await bench.put(bench.group, b"no headers")
    await bench.put(bench.group, None)
    await bench.send("wash", task_type="wash")
    await bench.send("broken", b"{")
    await bench.send("nowhere", reply_to="no topic")
    await bench.send("good")

    async with worker:
        assert await bench.results(2) == ["broken", "good"]
        assert await bench.dead(5) == [
            "not-a-task",
            "not-a-task",
            "refused-reply-topic",
            "undecodable-task",
            "unknown-task-type",
        ]


async def test_a_reply_topic_that_does_not_exist_costs_one_task(bench: KafkaBench) -> None:
    """The work was done but its result can go nowhere: dead letter, and the next task goes on."""
    worker = bench.worker(concurrency=1)
    bench.cook(worker)
    await bench.send("lost", reply_to="no-such-topic")
    await bench.send("good")

    async with worker:
        assert await bench.results(1) == ["good"]
        assert await bench.dead(1) == ["undeliverable-result"]


async def test_a_result_larger_than_its_topic(bench: KafkaBench) -> None:
    """The broker refuses it; the caller gets a failed result instead."""
    narrow = bench.make_topic("narrow", config={"max.message.bytes": "10000"})
    worker = bench.worker()

    @worker.task(bench.prepare)
    async def cook(_dish: str) -> str:
        return "x" * 20_000

    await bench.send("big", reply_to=narrow)
    async with worker:
        (result,) = await bench.read(narrow, 1)

    assert result.headers["kallback-status"] == "failed"
    assert b"urn:kallback:result-too-large" in (result.value or b"")


async def test_cpu_bound_threads_do_not_stop_the_others(bench: KafkaBench) -> None:
    """While a plain function computes, coroutines are fetched, done and published."""
    quick = TaskType("quick", request=str, result=str, topic=bench.make_topic("quick"))
    worker = bench.worker()
    enough, busy = threading.Event(), threading.Event()

    @worker.task(bench.prepare)
    def compute(dish: str) -> str:
        busy.set()
        while not enough.is_set():
            sum(range(1_000))
        return dish

    @worker.task(quick)
    async def answer(dish: str) -> str:
        return dish

    await bench.send("heavy")
    async with worker:
        try:
            await bench.until(busy.is_set, "the computing")
            bench.group, tasks = quick.topic, bench.group
            await bench.send("light", task_type="quick")
            bench.group = tasks
            assert await bench.results(1) == ["light"]
        finally:
            enough.set()
        assert await bench.results(2) == ["heavy", "light"]


@pytest.mark.parametrize("missing", ["results", "control", "dead_letters"])
async def test_a_missing_topic_names_its_command(bench: KafkaBench, missing: str) -> None:
    """A start without one of the topics says which, and what creates it."""
    names: Any = {name: getattr(bench.settings.topics, name) for name in ("results", "control", "dead_letters")}
    settings = Settings(kafka=bench.settings.kafka, topics=Topics(**names | {missing: "not-there"}))
    worker = Worker(bench.group, settings=settings)
    bench.cook(worker)

    with pytest.raises(MissingTopicError, match=r"'not-there'.*kallback topics create"):
        await worker.start()


async def test_a_missing_task_topic_names_its_command(bench: KafkaBench) -> None:
    """The task topic is looked for as well."""
    worker = bench.worker()
    worker.task(TaskType("nobody.made.this", request=str, result=str))(lambda text: text)

    with pytest.raises(MissingTopicError, match=r"'nobody\.made\.this'.*kallback topics create"):
        await worker.start()
