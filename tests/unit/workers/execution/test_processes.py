"""Functions in child processes: real ones, started by spawn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.unit.workers.execution import cpu

from kallback.health import Phase
from kallback.protocol import ConfigurationError, TaskType
from kallback.workers import Worker
from kallback.workers.execution.process_slot import ProcessSlot

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

ECHO = TaskType("prepare", request=str, result=str, topic="orders")


def made(env: WorkerEnv, function: Callable[..., str], **options: Any) -> Worker:
    """A worker whose one function runs in processes."""
    worker = env.worker(**options)
    worker.task(ECHO, executor="process", concurrency=2)(function)
    return worker


def send(env: WorkerEnv, text: object = "soup", task_id: str = "t1", **changes: Any) -> None:
    """Put a task on its topic."""
    env.send(task_id, orjson.dumps(str(text)), **changes)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def begun(env: WorkerEnv, folder: Path) -> int:
    """Wait until the function has begun; return its process id."""
    file = folder / "begun"
    await env.until(lambda: file.exists() and file.read_text(), "the function to begin")
    return int(file.read_text())


async def test_a_function_runs_in_another_process_that_is_kept(env: WorkerEnv) -> None:
    """The second task finds the process of the first."""
    worker = made(env, cpu.who)
    async with worker:
        for number in (1, 2):
            send(env, task_id=f"t{number}")
            await env.settled(number)

    first, second = (int(each.value) for each in env.results())
    assert first == second != os.getpid()
    assert not alive(first)


async def test_the_context_works_in_a_child(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """What it holds arrives, its log lines and heartbeats come back."""
    worker = made(env, cpu.tell)
    send(env, attempt=2, last_details=b"[7]", traceparent="00-aa", progress_to=env.topics.progress)
    async with worker:
        await env.settled(1)

    assert env.results()[0].value == "t1 2 [7] 00-aa"
    messages = [record.getMessage() for record in caplog.records]
    assert "[prepare:t1:2] soup in a child" in messages
    assert "hot" in messages


async def test_heartbeats_of_a_child_reach_kafka(env: WorkerEnv, tmp_path: Path) -> None:
    """The user's own details, throttled, while the function computes."""
    worker = made(env, cpu.beat_and_wait)
    send(env, tmp_path, progress_to=env.topics.progress, heartbeat_every_ms=100)
    async with worker:
        await env.until(lambda: len([it for it in env.progress() if it[1]]) >= 3, "details of three heartbeats")
        (tmp_path / "enough").touch()
        await env.settled(1)

    done = [details["done"] for _, details in env.progress() if details]
    assert done == sorted(done)
    assert len(done) < done[-1]


async def test_details_that_follow_others_at_once_do_not_wait_for_more(env: WorkerEnv, tmp_path: Path) -> None:
    """The child sends them by itself when it may."""
    worker = made(env, cpu.beat_twice_and_wait)
    send(env, tmp_path, progress_to=env.topics.progress, heartbeat_every_ms=10)
    async with worker:
        await env.until(lambda: ("heartbeat", "second") in env.progress(), "the second details")
        (tmp_path / "enough").touch()
        await env.settled(1)


async def test_the_last_details_of_a_failed_process_are_told(env: WorkerEnv) -> None:
    """The newest ones, although others had just been sent."""
    worker = made(env, cpu.beat_and_fail)
    send(env, progress_to=env.topics.progress, heartbeat_every_ms=3_600_000)
    async with worker:
        await env.settled(1)

    assert env.progress()[-1] == ("heartbeat", {"done": 99})


async def test_a_task_failure_travels_as_it_is(env: WorkerEnv) -> None:
    """With all its members, from process to process."""
    worker = made(env, cpu.fail)
    send(env)
    async with worker:
        await env.settled(1)

    expected = {"type": "OutOfStock", "status": 422, "detail": "soup", "retryable": True, "shelf": {"row": 4}}
    assert env.results()[0].value == expected


@pytest.mark.parametrize("exposed", [True, False])
async def test_an_exception_that_cannot_be_pickled_is_told_all_the_same(
    env: WorkerEnv, caplog: pytest.LogCaptureFixture, *, exposed: bool
) -> None:
    """Class names and message reach the caller; the traceback is in the log, and shown only if asked for."""
    worker = made(env, cpu.break_down, expose_tracebacks=exposed)
    send(env)
    async with worker:
        await env.settled(1)

    problem = env.results()[0].value
    assert problem["detail"] == "TooPickyError: soup"
    assert problem["exception"] == ["TooPickyError", "PickyError", "ValueError"]
    assert ("traceback" in problem) is exposed
    assert "in break_down" in caplog.text


@pytest.mark.parametrize(
    ("function", "how"),
    [
        (cpu.segfault, "was ended by signal 11 (SIGSEGV)"),
        (cpu.leave, "ended with exit code 3"),
    ],
)
async def test_a_process_that_dies_fails_the_attempt_and_not_the_worker(
    env: WorkerEnv, function: Callable[..., str], how: str
) -> None:
    """The failure says how it died; nothing says that it must not be tried again."""
    worker = made(env, function)
    send(env)
    async with worker:
        await env.settled(1)

    assert env.results()[0].value == {
        "type": "urn:kallback:unexpected-error",
        "status": 500,
        "detail": f"ProcessDied: the process of the task function {how}",
        "exception": ["ProcessDied"],
    }


async def test_a_slot_whose_process_was_killed_has_another_one(env: WorkerEnv, tmp_path: Path) -> None:
    """The next task is done."""
    worker = made(env, cpu.kill_once)
    async with worker:
        for number in (1, 2):
            send(env, tmp_path, f"t{number}")
            await env.settled(number)

    first, second = env.results()
    assert "SIGKILL" in first.value["detail"]
    assert second.value == "survived"


async def test_a_process_killed_while_it_is_idle_costs_nothing(env: WorkerEnv) -> None:
    """The next task gets another process at once."""
    worker = made(env, cpu.who)
    async with worker:
        send(env)
        await env.settled(1)
        first = int(env.results()[0].value)
        os.kill(first, signal.SIGKILL)
        await env.until(lambda: first not in _children(), "the process to be gone")
        send(env, task_id="t2")
        await env.settled(2)

    assert [each.status for each in env.results()] == ["completed", "completed"]


async def test_sys_exit_in_a_process_fails_the_task(env: WorkerEnv) -> None:
    """As in a thread."""
    worker = made(env, cpu.ask_to_leave)
    send(env)
    async with worker:
        await env.settled(1)

    assert env.results()[0].value["detail"] == "SystemExit: 4"


async def test_a_value_that_cannot_travel_is_a_failure(env: WorkerEnv) -> None:
    """Said by the child, which lives on; no retry mends it."""
    worker = made(env, cpu.lock)
    send(env)
    async with worker:
        await env.settled(1)

    problem = env.results()[0].value
    assert (problem["type"], problem["retryable"]) == ("urn:kallback:unusable-result", False)
    assert "cannot pickle" in problem["detail"]
    assert "returned a value" in problem["detail"]


async def test_a_process_sees_its_cancel(env: WorkerEnv, tmp_path: Path) -> None:
    """It ends by itself within the grace, is kept, and publishes nothing."""
    worker = made(env, cpu.wait_for_cancel, cancel_grace=60)
    send(env, tmp_path)
    async with worker:
        child = await begun(env, tmp_path)
        env.cancel("t1")
        await env.settled(1)
        assert alive(child)

    assert (tmp_path / "seen").exists()
    assert (env.results(), worker.counts.cancelled) == ([], 1)


@pytest.mark.parametrize("function", [cpu.ignore_cancel, cpu.ignore_everything, cpu.hold_the_gil])
async def test_a_process_that_does_not_look_is_ended(
    env: WorkerEnv, tmp_path: Path, function: Callable[..., str]
) -> None:
    """After the grace by SIGTERM, so that it can clean up, then by SIGKILL; the slot goes on with another one."""
    worker = made(env, function, cancel_grace=0.1)
    send(env, tmp_path)
    async with worker:
        child = await begun(env, tmp_path)
        env.cancel("t1")
        await env.settled(1)
        await env.until(lambda: not alive(child), "the child to be gone")

    assert (tmp_path / "clean").exists() is (function is cpu.ignore_cancel)
    assert (env.results(), worker.counts.cancelled) == ([], 1)


async def test_a_child_that_cannot_be_ended_is_reported(
    env: WorkerEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop would only log the error of the timer, and the slot would be busy permanently."""

    def fail(_slot: ProcessSlot) -> None:
        raise PermissionError("not this process")

    worker = made(env, cpu.ignore_cancel, cancel_grace=0.01)
    send(env, tmp_path)
    await worker.start()
    await begun(env, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ProcessSlot, "terminate", fail)
        env.cancel("t1")
        await env.until(lambda: worker.phase is Phase.STOPPED, "the failure to be reported")
    await worker.stop()


async def test_sigterm_to_the_whole_service_leaves_children_to_the_worker(env: WorkerEnv, tmp_path: Path) -> None:
    """A supervisor signals every process; the worker drains, so the child must finish its task."""
    worker = made(env, cpu.beat_and_wait)
    send(env, tmp_path, progress_to=env.topics.progress, heartbeat_every_ms=100)
    async with worker:
        await env.until(lambda: [it for it in env.progress() if it[1]], "a heartbeat")
        for child in _children():
            os.kill(child, signal.SIGTERM)
            os.kill(child, signal.SIGINT)
        (tmp_path / "enough").touch()
        await env.settled(1)

    assert env.results()[0].value == "done"


async def test_signals_to_a_child_that_starts_leave_it_to_the_worker(
    env: WorkerEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no handlers yet, and its first task is on the way: it is held to nothing that it cannot mind."""
    start = SpawnProcess.start

    def start_and_signal(process: SpawnProcess) -> None:
        start(process)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", start_and_signal)
    worker = made(env, cpu.beat_and_wait)
    (tmp_path / "enough").touch()
    send(env, tmp_path)
    async with worker:
        await env.settled(1)

    assert env.results()[0].value == "done"


async def test_a_stop_leaves_no_child(env: WorkerEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that looks at nothing and refuses SIGTERM; its task is left to another worker."""
    monkeypatch.setattr("kallback.workers.intake.in_flight._CLEAN_UP_TIMEOUT_S", 0.1)
    worker = made(env, cpu.ignore_everything, drain_timeout=0, cancel_grace=60)
    send(env, tmp_path)
    await worker.start()
    child = await begun(env, tmp_path)
    await asyncio.wait_for(worker.stop(), 20)

    assert not alive(child)
    assert (env.committed(), worker.counts.abandoned) == (0, 1)


async def test_a_function_hidden_by_another_object_is_refused_at_the_start(env: WorkerEnv) -> None:
    """A decorator above `@worker.task` leaves another object under the name that the child would import."""
    worker = made(env, cpu.hidden)

    with pytest.raises(ConfigurationError, match=r"decorated cannot be called in a process.*outermost decorator"):
        await worker.start()


_UNGUARDED = """
import asyncio, orjson
from kallback.protocol import TaskType
from tests.unit.workers.environment import WorkerEnv
from tests.unit.workers.execution import cpu

async def main():
    env = WorkerEnv()
    worker = env.worker()
    worker.task(TaskType("prepare", request=str, result=str, topic="orders"), executor="process")(cpu.who)
    async with worker:
        env.send("t1", orjson.dumps("soup"))
        await env.settled(1)
    print(env.results()[0].value["detail"])

asyncio.run(main())
"""


async def test_a_main_module_that_starts_a_worker_when_it_is_imported(tmp_path: Path) -> None:
    """A child imports it as well: it must not become a second worker, whose job never begins."""
    script = tmp_path / "main.py"
    script.write_text(_UNGUARDED)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, script, stdout=pipe, stderr=pipe, env=environment)
    try:
        async with asyncio.timeout(60):
            said, errors = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert said.decode() == "ProcessDied: the process of the task function ended with exit code 1\n"
    assert "below `if __name__" in errors.decode()


_ORPHANS = """
import asyncio, sys
from kallback.workers.context import TaskContext
from kallback.workers.registration.functions import inspect_function
from kallback.workers.registration.options import Executor, Registration
from kallback.workers.execution.process_pool import ProcessPool
from kallback.protocol import TaskType
from tests.unit.workers.execution import cpu

async def main():
    echo = TaskType("echo", request=str, result=str)
    function = inspect_function(echo, getattr(cpu, sys.argv[1]), Registration(executor=Executor.PROCESS))
    await ProcessPool(5, print).start(function, sys.argv[2], TaskContext("t1"), print).future

asyncio.run(main())
"""


@pytest.mark.parametrize("function", ["wait_for_cancel", "hold_the_gil"])
async def test_kill_9_of_the_worker_leaves_no_child(env: WorkerEnv, tmp_path: Path, function: str) -> None:
    """Whatever the child is doing then."""
    root = Path(__file__).parents[4]
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", _ORPHANS, function, str(tmp_path), cwd=root)
    try:
        child = await begun(env, tmp_path)
        assert alive(child)
    finally:
        worker.kill()
        await worker.wait()

    await env.until(lambda: not alive(child), "the child to be gone")


def _children() -> list[int]:
    """The children that multiprocessing has made here."""
    import multiprocessing  # noqa: PLC0415 - only here

    return [each.pid for each in multiprocessing.active_children() if each.pid is not None]
