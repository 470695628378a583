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
from tests.unit.workers import cpu

from kallback.protocol import TaskType, read_progress
from kallback.workers import TaskContext, Worker

if TYPE_CHECKING:
    from tests.integration.workers.conftest import KafkaBench

    from kallback.kafka import GroupStatus

pytestmark = pytest.mark.integration

_SESSION = 6  # seconds, as of the bench's workers: the shortest that a broker allows


def group_status(worker: Worker) -> GroupStatus:
    """How the worker's consumer stands in its group."""
    assert worker._session is not None
    return worker._session._seat.group_status()


def committed(worker: Worker) -> int:
    """How many records of its partitions the worker's group has settled."""
    return sum(each.position or 0 for each in group_status(worker).partitions.values())


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_blocking_for_longer_than_a_session_costs_no_rebalance(bench: KafkaBench) -> None:
    """A thread that sleeps and a process that holds its interpreter take every place: no fetch, but membership."""
    worker = bench.worker(concurrency=2)
    compute = TaskType("compute", request=str, result=str, topic=bench.group)

    @worker.task(bench.prepare)
    def sleep(seconds: str) -> str:
        time.sleep(int(seconds))
        return seconds

    worker.task(compute, kind="process")(cpu.hold_the_gil_for)
    seconds = f'"{_SESSION + 3}"'.encode()
    await bench.send("asleep", seconds)
    await bench.send("busy", seconds, task_type="compute")
    await bench.send("next", b'"0"')
    async with worker:
        assert await bench.results(3) == ["asleep", "busy", "next"]
        assert group_status(worker).rebalances == 1
        assert worker.counts.attached == 0


async def test_long_tasks_outlive_rebalances(bench: KafkaBench) -> None:
    """Workers come and go while tasks run: each task gets its result, and none is left to do afterwards."""
    topic = bench.make_topic("long", partitions=4)
    long = TaskType("long", request=str, result=str, topic=topic)
    workers = [bench.worker(), bench.worker()]
    gate = asyncio.Event()
    runs: collections.Counter[str] = collections.Counter()

    async def cook(dish: str) -> str:
        runs[dish] += 1
        await gate.wait()
        return dish

    for worker in workers:
        worker.task(long)(cook)
    for number in range(12):
        await bench.send(f"t{number:02}", task_type="long", topic=topic)
    async with workers[0]:
        await bench.until(lambda: len(runs) == 12, "all tasks to run")
        async with workers[1]:
            await bench.until(lambda: group_status(workers[1]).partitions, "the second worker to have a share")
            gate.set()
            await bench.until(lambda: sum(each.counts.completed for each in workers) >= 12, "the results")
        await bench.until(lambda: committed(workers[0]) == 12, "all to be settled")
    assert set(await bench.results(12)) == {f"t{number:02}" for number in range(12)}

    successor = bench.worker()
    done: list[str] = []

    @successor.task(long)
    async def again(dish: str) -> str:
        done.append(dish)
        return dish

    await bench.send("last", task_type="long", topic=topic)
    async with successor:
        await bench.until(lambda: done, "the last task")
    assert done == ["last"]


async def test_a_full_type_leaves_other_topics_alone(bench: KafkaBench) -> None:
    """Hundreds of tasks of a full type lie in their topic; one of another type is done at once."""
    worker = bench.worker(concurrency=4, held_back=10)
    quick = TaskType("quick", request=str, result=str, topic=bench.make_topic("quick"))
    gate = asyncio.Event()

    @worker.task(bench.prepare, concurrency=1)
    async def cook(dish: str) -> str:
        await gate.wait()
        return dish

    @worker.task(quick)
    async def answer(dish: str) -> str:
        return dish

    await asyncio.gather(*(bench.send(f"t{number}") for number in range(300)))
    async with worker:
        await bench.send("light", task_type="quick", topic=quick.topic)
        assert await bench.results(1) == ["light"]
        gate.set()
        assert len(await bench.results(301)) == 301


async def test_tasks_of_one_key_run_in_order(bench: KafkaBench) -> None:
    """Fifty tasks of five keys, many at a time: within each key one after another."""
    worker = bench.worker()
    busy: set[str] = set()
    done: list[str] = []

    @worker.task(bench.prepare, ordered=True)
    async def cook(dish: str) -> str:
        assert dish[0] not in busy
        busy.add(dish[0])
        await asyncio.sleep(0.01)
        busy.discard(dish[0])
        done.append(dish)
        return dish

    for number in range(10):
        for key in "abcde":
            await bench.send(f"{key}{number}", key=key)
    async with worker:
        await bench.results(50)

    assert worker.counts.completed == 50
    for key in "abcde":
        assert [dish for dish in done if dish[0] == key] == [f"{key}{number}" for number in range(10)]


async def test_heartbeats_of_a_process_reach_the_progress_topic(bench: KafkaBench, tmp_path: Path) -> None:
    """Started first, then its own details, the newest ones, a few times a second."""
    worker = bench.worker()
    worker.task(bench.prepare, kind="process")(cpu.beat_and_wait)
    await bench.send_watched("t1", every=0.2, value=f'"{tmp_path}"'.encode())
    async with worker:
        seen = await bench.read(bench.settings.topics.progress, 2)
        while seen[-1].value is None:
            seen = await bench.read(bench.settings.topics.progress, len(seen) + 1)
        (tmp_path / "enough").touch()
        assert await bench.results(1) == ["t1"]

    headers = [[(name, text.encode()) for name, text in each.headers.items()] for each in seen]
    reports = [read_progress(each.value, heads).report() for each, heads in zip(seen, headers, strict=True)]
    assert [report.signal for report in reports] == ["started", *["heartbeat"] * (len(reports) - 1)]
    assert reports[-1].details.startswith(b'{"done":')


async def test_a_task_acknowledged_at_its_start_does_not_come_again(bench: KafkaBench) -> None:
    """A worker that gives it up has settled it: its missing heartbeats tell the caller."""
    watched = dataclasses.replace(bench.prepare, heartbeat_every=timedelta(seconds=1))
    worker, successor = bench.worker(drain_timeout=0), bench.worker()
    begun = asyncio.Event()

    @worker.task(watched, acknowledge="start")
    async def cook(_dish: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    done = bench.cook(successor)
    await bench.send_watched("t1", every=1)
    async with worker:
        await asyncio.wait_for(begun.wait(), 30)
        await bench.read(bench.settings.topics.progress, 2)
    await bench.send("t2")
    async with successor:
        assert await bench.results(1) == ["t2"]

    assert (done, worker.counts.abandoned) == (["t2"], 1)


async def test_kill_9_of_a_worker_takes_its_children_along(bench: KafkaBench) -> None:
    """No orphan goes on computing, and another worker does the task."""
    process = await bench.process()
    await bench.send("slow", task_type="compute")
    child = int(await bench.line(process, "computing in "))
    assert alive(child)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await bench.until(lambda: not alive(child), "the child to be gone")

    successor = bench.worker()
    successor.task(TaskType("compute", request=str, result=str, topic=bench.group))(lambda dish: dish)
    async with successor:
        assert await bench.results(1) == ["slow"]


async def test_sigterm_drains_child_processes(bench: KafkaBench) -> None:
    """What a child computes is finished and published, then worker and child end."""
    process = await bench.process()
    await bench.send("brief", task_type="compute")
    child = int(await bench.line(process, "computing in "))
    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert not alive(child)
    assert await bench.results(1) == ["brief"]


async def test_a_cancel_ends_a_process_that_does_not_look(bench: KafkaBench, tmp_path: Path) -> None:
    """Asked, then ended; the next task is done by another process."""
    worker = bench.worker(cancel_grace=0.2)
    worker.task(bench.prepare, kind="process", concurrency=1)(cpu.ignore_cancel)
    quick = TaskType("quick", request=str, result=str, topic=bench.make_topic("quick"))

    @worker.task(quick)
    async def answer(dish: str, task: TaskContext) -> str:
        return f"{dish} {task.attempt}"

    await bench.send("t1", value=f'"{tmp_path}"'.encode())
    async with worker:
        await bench.until((tmp_path / "begun").exists, "the process to begin")
        await bench.cancel("t1")
        await bench.until(lambda: worker.counts.cancelled == 1, "the end of the process")
        await bench.send("light", task_type="quick", topic=quick.topic)
        assert await bench.results(1) == ["light"]

    assert (tmp_path / "clean").exists()
