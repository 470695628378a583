"""Records that processes died of, seen from a whole worker: apart at the last chance, without stopping the others."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from kallback.kafka import ConsumerOptions, MemoryConsumer, Record
from kallback.lifecycle import Supervisor
from kallback.settings import named_log
from kallback.workers import TaskContext, Worker
from kallback.workers.intake.crash_guard import CrashGuard, is_recorded_first
from kallback.workers.intake.scheduler import Scheduler, Slot

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


def deliveries_of(record: Record) -> int:
    """How often it is started, by the name of its task."""
    name = dict(record.headers)["kallback-task-id"] or b""
    return 5 if name.startswith(b"suspect") else 2 if name.endswith(b"tried") else 1


@pytest.fixture(autouse=True)
def _tried_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processes died of each record that is named `suspect...`, one after it had started one named `...tried`."""
    fetch = MemoryConsumer.fetch

    async def counted(self: MemoryConsumer, limit: int, timeout: float) -> list[Record]:  # noqa: ASYNC109 - the seam's
        records = await fetch(self, limit, timeout)
        return [structs.replace(each, deliveries=deliveries_of(each)) for each in records]

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


async def test_the_caller_is_told_that_the_process_of_an_attempt_died(env: WorkerEnv) -> None:
    """If it sends another one then: the function is not called, and the record is done."""
    worker = env.worker()
    kitchen = Kitchen(env, worker)
    kitchen.end("last-tried")
    env.send_watched("tried", hand_back=True, retry_lost=True)
    env.send_watched("last-tried", hand_back=True)
    async with worker:
        await env.settled(2)

    assert [result.status for result in env.results()] == ["failed", "completed"]
    assert env.results()[0].value["type"] == "urn:kallback:heartbeat-lost"
    assert (kitchen.begun, env.dead()) == (["last-tried"], [])


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


@pytest.fixture
def in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last owner of each partition has died."""
    monkeypatch.setattr(MemoryConsumer, "must_commit_start", lambda _self, _record: True)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each `start` of a record and each `commit` that the worker asks for, in order."""
    commit, started = MemoryConsumer.commit, MemoryConsumer.started
    steps = list[str]()

    async def remember_commit(self: MemoryConsumer) -> None:
        await commit(self)
        steps.append("commit")

    def remember_start(self: MemoryConsumer, record: Record) -> None:
        started(self, record)
        steps.append("start")

    monkeypatch.setattr(MemoryConsumer, "commit", remember_commit)
    monkeypatch.setattr(MemoryConsumer, "started", remember_start)
    return steps


@pytest.mark.usefixtures("in_doubt")
async def test_after_an_owner_that_died_starts_of_later_fetches_are_committed_too(
    env: WorkerEnv, steps: list[str]
) -> None:
    """A process that dies of a record that was not in the first fetch of an assignment leaves word of it as well."""
    worker = env.worker()
    kitchen = Kitchen(env, worker)
    env.send("first")
    async with worker:
        await env.until(lambda: kitchen.begun == ["first"], "the first task")
        steps.clear()
        env.send("second")
        await env.until(lambda: "second" in kitchen.begun, "the second task")
        steps_until_call = list(steps)
        kitchen.end("first", "second")
        await env.settled(2)

    assert steps_until_call == ["start", "commit"]


async def test_after_an_owner_that_left_only_the_first_start_is_committed(env: WorkerEnv, steps: list[str]) -> None:
    """Short tasks do not wait for Kafka; the first one tells the next owner that somebody was at work."""
    worker = env.worker(concurrency=1)
    kitchen = Kitchen(env, worker)
    env.send("quick")
    async with worker:
        await env.until(env.results, "the first result")
        first = list(steps)
        steps.clear()
        env.send("second")
        await env.until(lambda: "second" in kitchen.begun, "the second task")
        second = list(steps)
        kitchen.end("second")
        await env.settled(2)

    assert (first, second) == (["start", "commit"], ["start"])


@pytest.mark.parametrize(
    ("deliveries", "in_doubt", "follows_recorded"), [(1, True, False), (1, False, True), (2, False, False)]
)
def test_which_starts_are_committed_before_the_function_is_called(
    *, deliveries: int, in_doubt: bool, follows_recorded: bool
) -> None:
    """Those in doubt, those behind an attempt that would be blamed, and those of records that processes died after."""
    assert is_recorded_first(deliveries, in_doubt=in_doubt, follows_recorded=follows_recorded)


def test_other_starts_are_committed_by_the_clock() -> None:
    """Short tasks do not wait for Kafka."""
    assert not is_recorded_first(1, in_doubt=False, follows_recorded=False)


@pytest.mark.parametrize("ordered", [True, False], ids=["held", "fetched"])
@pytest.mark.parametrize(
    ("first", "in_doubt", "commit_interval"),
    [("quick", True, 1000.0), ("quick-tried", False, 1000.0), ("quick", False, 0.0)],
    ids=["in doubt", "behind one that processes died after", "behind one that ran for an interval"],
)
async def test_the_start_of_what_follows_is_committed(
    env: WorkerEnv,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[str],
    *,
    first: str,
    in_doubt: bool,
    commit_interval: float,
    ordered: bool,
) -> None:
    """A process that dies of a record leaves word of it, not only of the one that ended before."""
    monkeypatch.setattr(MemoryConsumer, "must_commit_start", lambda _self, _record: in_doubt)
    worker = env.worker(consumer=ConsumerOptions(commit_interval=commit_interval), concurrency=2 if ordered else 1)
    kitchen = Kitchen(env, worker, ordered=ordered)
    env.send(first, key=b"a")
    env.send("second", key=b"a")
    async with worker:
        await env.until(lambda: "second" in kitchen.begun, "the second task")
        steps_until_call = list(steps)
        kitchen.end("second")
        await env.settled(2)

    assert steps_until_call[-2:] == ["start", "commit"]
    assert steps_until_call.count("start") == 2


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


@pytest.mark.parametrize("age", [0.5, 10.0], ids=["while others are held", "before others are held"])
async def test_one_that_goes_to_another_worker_holds_no_others(monkeypatch: pytest.MonkeyPatch, age: float) -> None:
    """The wait for its moment ends with it, though a young task runs, and what is held begins."""
    monkeypatch.setattr("kallback.workers.intake.crash_guard._LOOK_INTERVAL_S", 0)
    monkeypatch.setattr("kallback.workers.intake.crash_guard.time", SimpleNamespace(monotonic=lambda: 1.0))
    scheduler = Scheduler[str](2, {})
    scheduler.try_acquire(Slot(apart=True), "suspect")
    looked, resumed = asyncio.Event(), asyncio.Event()

    def ages(_now: float) -> list[float]:
        looked.set()
        return [age]

    async def commit() -> None:
        """Commit nothing."""

    supervisor = Supervisor("test", lambda _: None, named_log("test"))
    guard = CrashGuard(commit, lambda _: False, scheduler, ages, lambda: None, resumed.set, supervisor, 1.0)
    guard.notice_suspect()
    running = asyncio.create_task(guard.run())
    try:
        async with asyncio.timeout(20):
            await looked.wait()
            assert scheduler.free == (0 if age < 1 else 2)
            scheduler.drop(lambda it: it == "suspect")
            await resumed.wait()
        assert scheduler.free == 2
    finally:
        running.cancel()
        await asyncio.wait({running})
