"""Records that processes died of, seen from a whole worker: apart at the last chance, without stopping the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from kallback.kafka import MemoryConsumer, Record
from kallback.workers import TaskContext, Worker

if TYPE_CHECKING:
    from tests.unit.workers.environment import Order, Prepared, WorkerEnv


class Kitchen:
    """A function whose tasks wait for a gate each; remembers what has begun, and what ran meanwhile."""

    def __init__(self, env: WorkerEnv, worker: Worker, *, ordered: bool = False) -> None:
        self.begun: list[str] = []
        self.beside: dict[str, set[str]] = {}
        self.running: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        self._prepared = env.prepared_type
        worker.task(env.prepare, ordered=ordered)(self.cook)

    async def cook(self, order: Order, task: TaskContext) -> Prepared:
        """Wait for the gate; tasks named `quick...` do not."""
        self.begun.append(task.task_id)
        self.running.add(task.task_id)
        for each in self.running:
            self.beside.setdefault(each, set()).update(self.running - {each})
        if not task.task_id.startswith("quick"):
            await self.gates.setdefault(task.task_id, asyncio.Event()).wait()
        self.running.discard(task.task_id)
        return self._prepared(order.dish)

    def end(self, *task_ids: str) -> None:
        """Open gates."""
        for each in task_ids:
            self.gates.setdefault(each, asyncio.Event()).set()


def is_suspect(record: Record) -> bool:
    """Whether its task is named so."""
    return (dict(record.headers)["kallback-task-id"] or b"").startswith(b"suspect")


@pytest.fixture(autouse=True)
def _suspects_at_their_last_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processes died of each record that is named `suspect...`."""
    fetch = MemoryConsumer.fetch

    async def counted(self: MemoryConsumer, limit: int, timeout: float) -> list[Record]:  # noqa: ASYNC109 - the seam's
        records = await fetch(self, limit, timeout)
        return [structs.replace(each, deliveries=5) if is_suspect(each) else each for each in records]

    monkeypatch.setattr(MemoryConsumer, "fetch", counted)


async def test_the_others_go_on_while_it_waits_for_a_long_task(env: WorkerEnv) -> None:
    """They are fetched and done; it begins when the long one has ended, beside nothing, and the metrics show it."""
    worker = env.worker()
    kitchen = Kitchen(env, worker)
    env.send("long")
    async with worker:
        await env.until(lambda: kitchen.begun == ["long"], "the long task")
        env.send("suspect")
        for number in range(20):
            env.send(f"quick{number}")
        await env.until(lambda: len(env.results()) == 20, "the others")
        assert "suspect" not in kitchen.begun
        assert worker.running().held_back["last-chance"] == 1
        kitchen.end("long")
        await env.until(lambda: "suspect" in kitchen.begun, "the record at its last chance")
        env.send("quick-last")
        await env.until(lambda: env.clients.consumers[0].unfinished() >= 1, "the load")
        kitchen.end("suspect")
        await env.settled(23)

    assert kitchen.beside["suspect"] == set()


async def test_it_keeps_its_place_in_the_order_of_its_key(env: WorkerEnv) -> None:
    """Later records of the key wait for it."""
    worker = env.worker()
    kitchen = Kitchen(env, worker, ordered=True)
    kitchen.end("long", "suspect", "t2", "t3")
    for task_id in ("suspect", "t2", "t3"):
        env.send(task_id, key=b"a")
    async with worker:
        await env.settled(3)

    assert kitchen.begun == ["suspect", "t2", "t3"]


async def test_one_that_follows_in_the_order_of_its_key_has_its_turn(env: WorkerEnv) -> None:
    """It runs apart when the record before it is done."""
    worker = env.worker()
    kitchen = Kitchen(env, worker, ordered=True)
    kitchen.end("suspect", "t1", "t3")
    for task_id in ("t1", "suspect", "t3"):
        env.send(task_id, key=b"a")
    async with worker:
        await env.settled(3)

    assert kitchen.begun == ["t1", "suspect", "t3"]


async def test_a_long_one_does_not_stop_the_others_for_all_its_time(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its first seconds they go on beside it."""
    monkeypatch.setattr("kallback.workers.intake.crash_guard._APART_FOR_S", 0.1)
    worker = env.worker()
    kitchen = Kitchen(env, worker)
    env.send("suspect")
    async with worker:
        await env.until(lambda: kitchen.begun == ["suspect"], "the record at its last chance")
        env.send("quick")
        await env.until(env.results, "the other one")
        kitchen.end("suspect")
        await env.settled(2)


async def test_its_start_is_committed_before_it_begins(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies of it at once leaves word that it was started."""
    worker = env.worker()
    kitchen = Kitchen(env, worker)
    commit, commits = MemoryConsumer.commit, list[list[str]]()

    async def remember(self: MemoryConsumer) -> None:
        await commit(self)
        commits.append(list(kitchen.begun))

    env.send("long")
    async with worker:
        await env.until(lambda: kitchen.begun == ["long"], "the long task")
        env.send("suspect")
        await env.until(lambda: worker.running().held_back["last-chance"], "the suspect to wait")
        monkeypatch.setattr(MemoryConsumer, "commit", remember)
        kitchen.end("long")
        await env.until(lambda: "suspect" in kitchen.begun, "the suspect to begin")
        kitchen.end("suspect")
        await env.settled(2)

    assert commits[0] == ["long"]


async def test_several_run_one_after_the_other(env: WorkerEnv) -> None:
    """Each of them apart from the others."""
    worker = env.worker()
    kitchen = Kitchen(env, worker)
    names = [f"suspect{number}" for number in range(3)]
    kitchen.end(*names)
    for name in names:
        env.send(name)
    async with worker:
        await env.settled(3)

    assert kitchen.begun == names
    assert [kitchen.beside.get(name, set()) for name in names] == [set()] * 3


async def test_a_stop_leaves_it_to_another_worker(env: WorkerEnv) -> None:
    """It is released with all that is held."""
    worker = env.worker(drain_timeout=0)
    kitchen = Kitchen(env, worker)
    env.send("long")
    async with worker:
        await env.until(lambda: kitchen.begun == ["long"], "the long task")
        env.send("suspect")
        await env.until(lambda: worker.running().held_back["last-chance"], "it to wait")

    assert (kitchen.begun, worker.counts.abandoned, env.committed()) == (["long"], 2, 0)
