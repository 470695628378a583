"""A task function is told why it is to stop: nobody wants its work any more, or it goes on elsewhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.unit.workers.execution import cpu

from kallback.protocol import CancelReason, TaskType
from kallback.workers import StopReason, TaskContext, Worker

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

FOLDER = TaskType("prepare", request=str, result=str, topic="orders")

CANCELS = [
    (CancelReason.CANCELLED, StopReason.CANCELLED),
    (CancelReason.TIMED_OUT, StopReason.TIMED_OUT),
    (CancelReason.SUPERSEDED, StopReason.SUPERSEDED),
]


class Told:
    """What a function is told in the end, whichever way it runs."""

    def __init__(self, env: WorkerEnv, folder: Path) -> None:
        self._env = env
        self._folder = folder

    def on_loop(self, worker: Worker) -> None:
        """A coroutine."""

        @worker.task(FOLDER)
        async def wait(_folder: str, task: TaskContext) -> str:
            (self._folder / "begun").write_text("now")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                (self._folder / "seen").write_text(str(task.stop_reason))
                raise
            return ""

    def in_thread(self, worker: Worker) -> None:
        """A plain function."""
        worker.task(FOLDER)(cpu.wait_for_cancel)

    def in_process(self, worker: Worker) -> None:
        """The same in a child process."""
        worker.task(FOLDER, executor="process", concurrency=1)(cpu.wait_for_cancel)

    def send(self, **changes: Any) -> None:
        """Put its task on the topic."""
        self._env.send("t1", orjson.dumps(str(self._folder)), **changes)

    async def until_begun(self) -> None:
        """Wait for the function."""
        await self._env.until((self._folder / "begun").exists, "the function to begin")

    @property
    def reason(self) -> StopReason:
        """Why it was stopped."""
        return StopReason((self._folder / "seen").read_text())


REGISTRATIONS = [Told.on_loop, Told.in_thread, Told.in_process]


@pytest.fixture
def told(env: WorkerEnv, tmp_path: Path) -> Told:
    """A function, not registered yet."""
    return Told(env, tmp_path)


@pytest.mark.parametrize("register", REGISTRATIONS)
@pytest.mark.parametrize(("said", "reason"), CANCELS)
async def test_a_function_hears_why_its_caller_does_not_wait(
    env: WorkerEnv,
    told: Told,
    register: Callable[[Told, Worker], None],
    said: CancelReason,
    reason: StopReason,
) -> None:
    """The reason of the cancel, on the loop, in a thread and in a child process."""
    worker = env.worker(cancel_grace=60)
    register(told, worker)
    told.send()
    async with worker:
        await told.until_begun()
        env.cancel("t1", reason=said)
        await env.settled(1)

    assert (told.reason, worker.counts.cancelled) == (reason, 1)


@pytest.mark.parametrize("register", REGISTRATIONS)
async def test_a_function_hears_that_its_worker_stops(
    env: WorkerEnv, told: Told, register: Callable[[Told, Worker], None]
) -> None:
    """At a deployment its work goes on elsewhere, so it must not be undone."""
    worker = env.worker(drain_timeout=0.01, cancel_grace=60)
    register(told, worker)
    told.send(hand_back=True)
    await worker.start()
    await told.until_begun()
    await worker.stop()

    assert (told.reason, worker.counts.handed_back) == (StopReason.WORKER_STOPPING, 1)


@pytest.mark.parametrize("register", REGISTRATIONS)
async def test_a_function_hears_that_its_deadline_has_passed(
    env: WorkerEnv, told: Told, register: Callable[[Told, Worker], None]
) -> None:
    """The same reason as that of the caller's cancel, which may come a moment earlier or later."""
    worker = env.worker(clock_skew=0, cancel_grace=60)
    register(told, worker)
    told.send(deadline_ms=int(env.now * 1000) + 10_000)
    async with worker:
        await told.until_begun()
        env.now += 10.5
        await env.settled(1)

    assert (told.reason, worker.counts.expired) == (StopReason.TIMED_OUT, 1)


async def test_a_cancelled_function_that_goes_on_is_not_told_of_the_stop(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reason is kept: a cancelled task does not go on elsewhere because its worker stops meanwhile."""
    monkeypatch.setattr("kallback.workers.intake.in_flight._CLEAN_UP_TIMEOUT_S", 0.01)
    worker = env.worker(drain_timeout=0.01)
    begun, gate, tasks = threading.Event(), threading.Event(), list[TaskContext]()

    @worker.task(env.prepare)
    def cook(_order: Any, task: TaskContext) -> Any:
        tasks.append(task)
        begun.set()
        gate.wait()

    env.send(hand_back=True)
    await worker.start()
    await env.until(begun.is_set, "the thread to run")
    env.cancel()
    await env.until(lambda: tasks[0].cancelled, "the cancel")
    await worker.stop()
    gate.set()

    assert (tasks[0].stop_reason, worker.counts.handed_back) == (StopReason.CANCELLED, 0)


def test_a_task_that_is_not_stopped_has_no_reason() -> None:
    """So a `CancelledError` of the function's own making is told apart."""
    assert (TaskContext("t1").cancelled, TaskContext("t1").stop_reason) == (False, None)


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_test_of_a_function_chooses_the_reason(reason: StopReason) -> None:
    """Each path of a function can be tested without a worker; the first reason is kept."""
    task = TaskContext("t1")
    task.cancel(reason)
    task.cancel()

    assert (task.cancelled, task.stop_reason) == (True, reason)
