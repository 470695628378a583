"""Long tasks on a real Kafka: membership, rebalances, progress, acknowledging at the start, child processes."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.workers.execution import cpu

from kallback.protocol import TaskType, read_progress
from kallback.workers import TaskContext, Worker

if TYPE_CHECKING:
    from tests.integration.workers.environment import KafkaWorkerEnv

    from kallback.kafka import GroupStatus

pytestmark = pytest.mark.integration

_SESSION = 6  # seconds, as of the env's workers: the shortest that a broker allows


def group_status(worker: Worker) -> GroupStatus:
    """What the worker's consumer knows of its group."""
    status = worker.group_status()
    assert status is not None
    return status


def committed(worker: Worker) -> int:
    """How many records of its partitions the worker's group has settled."""
    return sum(each.position or 0 for each in group_status(worker).partitions.values())


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_blocking_for_longer_than_a_session_costs_no_rebalance(env: KafkaWorkerEnv) -> None:
    """A thread that sleeps and a process that holds its interpreter take every place: no fetch, but membership."""
    worker = env.worker(concurrency=2)
    compute = TaskType("compute", request=str, result=str, topic=env.group)

    @worker.task(env.prepare)
    def sleep(seconds: str) -> str:
        time.sleep(int(seconds))
        return seconds

    worker.task(compute, executor="process")(cpu.hold_the_gil_for)
    seconds = f'"{_SESSION + 3}"'.encode()
    await env.send("asleep", seconds)
    await env.send("busy", seconds, task_type="compute")
    await env.send("next", b'"0"')
    async with worker:
        assert await env.results(3) == ["asleep", "busy", "next"]
        assert group_status(worker).rebalances == 1
        assert worker.counts.attached == 0


async def test_long_tasks_outlive_rebalances(env: KafkaWorkerEnv) -> None:
    """Workers come and go while tasks run: each task gets its result, and none is left to do afterwards."""
    topic = env.make_topic("long", partitions=4)
    long = TaskType("long", request=str, result=str, topic=topic)
    workers = [env.worker(), env.worker()]
    gate = asyncio.Event()
    runs: collections.Counter[str] = collections.Counter()

    async def cook(dish: str) -> str:
        runs[dish] += 1
        await gate.wait()
        return dish

    for worker in workers:
        worker.task(long)(cook)
    for number in range(12):
        await env.send(f"t{number:02}", task_type="long", topic=topic)
    async with workers[0]:
        await env.until(lambda: len(runs) == 12, "all tasks to run")
        async with workers[1]:
            await env.until(lambda: group_status(workers[1]).partitions, "the second worker to have a share")
            gate.set()
            await env.until(lambda: sum(each.counts.completed for each in workers) >= 12, "the results")
        await env.until(lambda: committed(workers[0]) == 12, "all to be settled")
    assert set(await env.results(12)) == {f"t{number:02}" for number in range(12)}

    successor = env.worker()
    done: list[str] = []

    @successor.task(long)
    async def again(dish: str) -> str:
        done.append(dish)
        return dish

    await env.send("last", task_type="long", topic=topic)
    async with successor:
        await env.until(lambda: done, "the last task")
    assert done == ["last"]


async def test_a_worker_that_drains_leaves_new_tasks_to_the_other_one(env: KafkaWorkerEnv) -> None:
    """Its running attempt would be replaced if it got lost, so it leaves the group, and the attempt ends here."""
    topic = env.make_topic("drained", partitions=4)
    drained = TaskType("drained", request=str, result=str, topic=topic, heartbeat_every=timedelta(seconds=60))
    first, second = env.worker(drain_timeout=600), env.worker()
    gate, began = asyncio.Event(), list[str]()

    @first.task(drained)
    async def slow(dish: str) -> str:
        began.append(dish)
        await gate.wait()
        return f"slow {dish}"

    @second.task(drained)
    async def quick(dish: str) -> str:
        return f"quick {dish}"

    await first.start()
    await env.send_watched("long", task_type="drained", topic=topic, hand_back=True, retry_lost=True)
    await env.until(lambda: began, "the long task")
    async with second:
        await env.until(lambda: len(group_status(second).partitions) == 2, "the second worker to have a share")
        stopping = asyncio.create_task(first.stop())
        for number in range(8):
            await env.send(f"t{number}", task_type="drained", topic=topic)
        await env.until(lambda: second.counts.completed == 8, "the second worker to do all new tasks")
        assert (began, stopping.done()) == (["long"], False)
        gate.set()
        await stopping
        assert len(await env.results(9)) == 9
    assert second.counts.attached == 0


async def test_a_full_type_leaves_other_topics_alone(env: KafkaWorkerEnv) -> None:
    """Hundreds of tasks of a full type lie in their topic; one of another type is done at once."""
    worker = env.worker(concurrency=4, held_back=10)
    quick = TaskType("quick", request=str, result=str, topic=env.make_topic("quick"))
    gate = asyncio.Event()

    @worker.task(env.prepare, concurrency=1)
    async def cook(dish: str) -> str:
        await gate.wait()
        return dish

    @worker.task(quick)
    async def answer(dish: str) -> str:
        return dish

    await asyncio.gather(*(env.send(f"t{number}") for number in range(300)))
    async with worker:
        await env.send("light", task_type="quick", topic=quick.topic)
        assert await env.results(1) == ["light"]
        gate.set()
        assert len(await env.results(301)) == 301


async def test_tasks_of_one_key_run_in_order(env: KafkaWorkerEnv) -> None:
    """Fifty tasks of five keys, many at a time: within each key one after another."""
    worker = env.worker()
    busy: set[str] = set()
    done: list[str] = []

    @worker.task(env.prepare, ordered=True)
    async def cook(dish: str) -> str:
        assert dish[0] not in busy
        busy.add(dish[0])
        await asyncio.sleep(0.01)
        busy.discard(dish[0])
        done.append(dish)
        return dish

    for number in range(10):
        for key in "abcde":
            await env.send(f"{key}{number}", key=key)
    async with worker:
        await env.results(50)

    assert worker.counts.completed == 50
    for key in "abcde":
        assert [dish for dish in done if dish[0] == key] == [f"{key}{number}" for number in range(10)]


async def test_heartbeats_of_a_process_reach_the_progress_topic(env: KafkaWorkerEnv, tmp_path: Path) -> None:
    """Started first, then its own details, the newest ones, a few times a second."""
    worker = env.worker()
    worker.task(env.prepare, executor="process")(cpu.beat_and_wait)
    await env.send_watched("t1", every=0.2, value=f'"{tmp_path}"'.encode())
    async with worker:
        seen = await env.read(env.settings.topics.progress, 2)
        while seen[-1].value is None:
            seen = await env.read(env.settings.topics.progress, len(seen) + 1)
        (tmp_path / "enough").touch()
        assert await env.results(1) == ["t1"]

    headers = [[(name, text.encode()) for name, text in each.headers.items()] for each in seen]
    reports = [read_progress(each.value, heads).report() for each, heads in zip(seen, headers, strict=True)]
    assert [report.signal for report in reports] == ["started", *["heartbeat"] * (len(reports) - 1)]
    assert reports[-1].details.startswith(b'{"done":')


async def test_a_task_acknowledged_at_its_start_does_not_come_again(env: KafkaWorkerEnv) -> None:
    """A worker that gives it up has settled it: its missing heartbeats tell the caller."""
    watched = dataclasses.replace(env.prepare, heartbeat_every=timedelta(seconds=1))
    worker, successor = env.worker(drain_timeout=0), env.worker()
    begun = asyncio.Event()

    @worker.task(watched, acknowledge="start")
    async def cook(_dish: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    done = env.cook(successor)
    await env.send_watched("t1", every=1)
    async with worker:
        await asyncio.wait_for(begun.wait(), 60)
        await env.read(env.settings.topics.progress, 2)
    await env.send("t2")
    async with successor:
        assert await env.results(1) == ["t2"]

    assert (done, worker.counts.abandoned) == (["t2"], 1)


async def test_kill_9_of_a_worker_takes_its_children_along(env: KafkaWorkerEnv) -> None:
    """No orphan goes on computing, and another worker does the task."""
    process = await env.process()
    await env.send("slow", task_type="compute")
    child = int(await env.line(process, "computing in "))
    assert alive(child)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await env.until(lambda: not alive(child), "the child to be gone")

    successor = env.worker()
    successor.task(TaskType("compute", request=str, result=str, topic=env.group))(lambda dish: dish)
    async with successor:
        assert await env.results(1) == ["slow"]


async def test_sigterm_drains_child_processes(env: KafkaWorkerEnv) -> None:
    """What a child computes is finished and published, then worker and child end."""
    process = await env.process()
    await env.send("brief", task_type="compute")
    child = int(await env.line(process, "computing in "))
    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert not alive(child)
    assert await env.results(1) == ["brief"]


async def test_a_cancel_ends_a_process_that_does_not_look(env: KafkaWorkerEnv, tmp_path: Path) -> None:
    """Asked, then ended; the next task is done by another process."""
    worker = env.worker(cancel_grace=0.2)
    worker.task(env.prepare, executor="process", concurrency=1)(cpu.ignore_cancel)
    quick = TaskType("quick", request=str, result=str, topic=env.make_topic("quick"))

    @worker.task(quick)
    async def answer(dish: str, task: TaskContext) -> str:
        return f"{dish} {task.attempt}"

    await env.send("t1", value=f'"{tmp_path}"'.encode())
    async with worker:
        await env.until((tmp_path / "begun").exists, "the process to begin")
        await env.cancel("t1")
        await env.until(lambda: worker.counts.cancelled == 1, "the end of the process")
        await env.send("light", task_type="quick", topic=quick.topic)
        assert await env.results(1) == ["light"]

    assert (tmp_path / "clean").exists()
