"""Whatever a task function does: its caller is answered, the next task runs, the worker stops. For each executor."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.unit.workers.execution.misbehaviour import misbehave

from kallback.protocol import TaskType
from kallback.workers import Executor, TaskContext, Worker
from kallback.workers.execution.child_connection import ChildConnection
from kallback.workers.execution.outcomes import NotStartedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.workers.environment import Seen, WorkerEnv

WAY = TaskType("prepare", request=str, result=str, topic="orders")
UNEXPECTED = "urn:kallback:unexpected-error"
UNUSABLE = "urn:kallback:unusable-result"

FAILURES = {
    "failure_with_a_cause": "Broken",
    "failure_with_a_trap": "Broken",
    "failure_with_an_odd_flag": "Broken",
    "careless_failure": UNEXPECTED,
    "picky_error": UNEXPECTED,
    "unprintable_error": UNEXPECTED,
    "panic": UNEXPECTED,
    "keyboard_interrupt": UNEXPECTED,
    "panicking_error": UNEXPECTED,
    "system_exit": UNEXPECTED,
    "wordless_exit": UNEXPECTED,
    "generator_exit": UNEXPECTED,
}


@pytest.fixture(params=list(Executor))
def executor(request: pytest.FixtureRequest) -> Executor:
    """Each executor in turn: the suite is one for all."""
    found: Executor = request.param
    return found


def made(env: WorkerEnv, executor: Executor, **options: Any) -> Worker:
    """A worker with the one function that misbehaves, which waits for a cancel in its own way on the loop."""
    worker = env.worker(**options)

    async def on_loop(way: str, task: TaskContext) -> str:
        if way == "wait_for_cancel":
            task.heartbeat("begun")
            await asyncio.Event().wait()
        result: str = misbehave(way, task)
        return result

    if executor is Executor.LOOP:
        worker.task(WAY)(on_loop)
    else:
        worker.task(WAY, executor=executor, concurrency=1)(misbehave)
    return worker


def send(env: WorkerEnv, way: str, task_id: str, **changes: Any) -> None:
    """Put a task on its topic."""
    env.send(task_id, orjson.dumps(way), **changes)


async def outcome(env: WorkerEnv, worker: Worker, way: str) -> Seen:
    """Run one task, and a good one after it; return the result of the first."""
    async with worker:
        send(env, way, "t1")
        await env.settled(1)
        send(env, "good", "t2")
        await env.settled(2)
    first, second = env.results()
    assert (second.status, second.value) == ("completed", "good")
    return first


@pytest.mark.parametrize(("way", "type_"), FAILURES.items())
async def test_whatever_is_raised_is_a_failed_result(env: WorkerEnv, executor: Executor, way: str, type_: str) -> None:
    """Also what is no `Exception`, what cannot be pickled, and what fails at its own text."""
    result = await outcome(env, made(env, executor), way)

    assert (result.status, result.value["type"]) == ("failed", type_)
    assert result.value.get("exception") != ["ProcessDied"]


@pytest.mark.parametrize("way", ["unpicklable_value", "trap_value"])
async def test_a_value_that_cannot_travel_is_a_failed_result(env: WorkerEnv, executor: Executor, way: str) -> None:
    """Whether it gets stuck between processes or on its way to the caller."""
    result = await outcome(env, made(env, executor), way)

    assert result.status == "failed"
    assert result.value["type"] in {UNEXPECTED, UNUSABLE}


@pytest.mark.parametrize(
    ("way", "value"), [("megabytes", "printed"), ("log_badly", "logged"), ("log_a_trap", "logged")]
)
async def test_what_is_printed_and_logged_holds_nothing_up(
    env: WorkerEnv, executor: Executor, way: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much it is, also a line whose arguments do not fit, or whose `extra` ends the process that reads it."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    result = await outcome(env, made(env, executor), way)

    assert (result.status, result.value) == ("completed", value)


class RaisingFilter(logging.Filter):
    """A filter of the user that raises."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Fail at each line about a task."""
        if record.name.startswith("kallback.workers") or record.name.startswith("kitchen"):
            raise KeyError("tenant")
        return True


@pytest.fixture
def raising_filter() -> Iterator[None]:
    """A handler whose filter raises at the worker's lines and at those of its children."""
    handler = logging.StreamHandler()
    handler.addFilter(RaisingFilter())
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    yield
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.usefixtures("raising_filter")
@pytest.mark.parametrize("way", ["failure_with_a_cause", "picky_error", "unpicklable_value"])
async def test_a_log_filter_that_raises_costs_log_lines_only(env: WorkerEnv, executor: Executor, way: str) -> None:
    """The result is the same as without it."""
    result = await outcome(env, made(env, executor), way)

    assert result.status == "failed"


@pytest.mark.usefixtures("raising_filter")
async def test_a_log_filter_that_raises_at_a_line_of_a_child_costs_that_line(env: WorkerEnv) -> None:
    """The filter runs in the worker; the child's function does not notice."""
    result = await outcome(env, made(env, Executor.PROCESS), "megabytes")

    assert result.value == "printed"


async def test_a_process_that_ends_itself_is_a_failed_result(env: WorkerEnv) -> None:
    """In a thread or on the loop it ends the worker, whose record is parked after some starts."""
    result = await outcome(env, made(env, Executor.PROCESS), "leave")

    assert result.value["exception"] == ["ProcessDied"]


async def test_a_process_that_dies_in_the_middle_of_a_message_is_a_failed_result(env: WorkerEnv) -> None:
    """Also if a process that it has forked holds its pipe open: neither the rest of the message nor an end comes."""
    result = await outcome(env, made(env, Executor.PROCESS), "die_sending")

    assert result.value["exception"] == ["ProcessDied"]


async def test_the_task_after_a_cancelled_one_runs(env: WorkerEnv, executor: Executor) -> None:
    """Again and again, with one slot."""
    worker = made(env, executor)
    async with worker:
        for number in range(1, 7, 2):
            begun = len(env.progress())
            send(env, "wait_for_cancel", f"t{number}", progress_to=env.topics.progress, heartbeat_every_ms=100)
            await env.until(lambda: [it for it in env.progress()[begun:] if it[1]], "the task to begin")  # noqa: B023
            env.cancel(f"t{number}")
            await env.settled(number)
            send(env, "good", f"t{number + 1}")
            await env.settled(number + 1)

    assert [each.value for each in env.results()] == ["good"] * 3
    assert worker.counts.cancelled == 3


async def test_the_task_after_one_that_was_ended_by_a_signal_runs(env: WorkerEnv) -> None:
    """Its process is another one: the former may still be on its way out."""
    worker = made(env, Executor.PROCESS, cancel_grace=0)
    async with worker:
        for number in range(1, 7, 2):
            begun = len(env.progress())
            send(env, "sleep", f"t{number}", progress_to=env.topics.progress, heartbeat_every_ms=100)
            await env.until(lambda: [it for it in env.progress()[begun:] if it[1]], "the task to begin")  # noqa: B023
            env.cancel(f"t{number}")
            send(env, "good", f"t{number + 1}")
            await env.settled(number + 1)

    assert [each.value for each in env.results()] == ["good"] * 3


async def test_a_shortage_of_threads_and_processes_holds_tasks_back(
    env: WorkerEnv, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait, the metrics say so, and they run when there are some again."""
    short = True
    start, start_child = threading.Thread.start, ChildConnection.start

    def refuse(self: threading.Thread) -> None:
        if short and self.name.startswith(("kallback-task-", "kallback-slot")):
            raise RuntimeError("can't start new thread")
        start(self)

    def refuse_child() -> ChildConnection:
        if still_short:
            raise NotStartedError("no more processes")
        return start_child()

    still_short = True
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(ChildConnection, "start", refuse_child)
    worker = made(env, executor)
    async with worker:
        send(env, "good", "t1")
        if executor is not Executor.LOOP:
            await env.until(lambda: worker.running().held_back["no-thread"], "the task to wait")
        short = False
        await asyncio.sleep(0)
        still_short = False
        await env.settled(1)

    assert [each.value for each in env.results()] == ["good"]


async def test_a_shortage_that_lasts_is_a_failed_result(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told, and its retry policy decides."""
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.startswith("kallback-task-"):
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr("kallback.workers.execution.function_call._START_TIMEOUT_S", 0.1)
    worker = made(env, Executor.THREAD)
    async with worker:
        send(env, "good", "t1")
        await env.settled(1)

    assert "can't start new thread" in env.results()[0].value["detail"]
