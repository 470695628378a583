"""Processes that task functions start: they work, end with the task's process, and leave the worker alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from tests.unit.workers.execution import family

from kallback.protocol import TaskType

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

FOLDER = TaskType("prepare", request=str, result=str, topic="orders")


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def pid_in(env: WorkerEnv, file: Path) -> int:
    """Wait for a process id in a file."""
    found: list[int] = []

    def look() -> bool:
        if file.exists() and (text := file.read_text()):
            found.append(int(text))
        return bool(found)

    await env.until(look, f"{file.name} to begin")
    return found[-1]


async def test_a_task_in_a_process_may_have_children(env: WorkerEnv, tmp_path: Path) -> None:
    """A pool of its own works in it."""
    worker = env.worker()
    worker.task(FOLDER, executor="process")(family.use_a_pool)
    async with worker:
        env.send("t1", orjson.dumps(str(tmp_path)))
        await env.settled(1)

    assert env.results()[0].value == "[1, 4, 9]"


async def test_forks_of_a_task_may_log(env: WorkerEnv, tmp_path: Path) -> None:
    """What they write does not get between the messages of the task's own process."""
    worker = env.worker()
    worker.task(FOLDER, executor="process")(family.log_in_forks)
    async with worker:
        env.send("t1", orjson.dumps(str(tmp_path)))
        await env.settled(1)

    assert env.results()[0].value == "logged"


async def test_a_fork_that_returns_answers_for_no_task(env: WorkerEnv, tmp_path: Path) -> None:
    """Neither for its own, which has its answer, nor for the next one of the same process."""
    worker = env.worker()
    worker.task(FOLDER, executor="process", concurrency=1)(family.return_twice)
    async with worker:
        for number in (1, 2):
            env.send(f"t{number}", orjson.dumps(str(tmp_path)))
            await env.settled(number)

    assert [each.value for each in env.results()] == ["of the task", "of the next task"]


async def test_children_of_a_cancelled_task_end_with_it(env: WorkerEnv, tmp_path: Path) -> None:
    """Also those that ignore SIGTERM, and programs."""
    worker = env.worker(cancel_grace=0)
    worker.task(FOLDER, executor="process")(family.have_children)
    async with worker:
        env.send("t1", orjson.dumps(str(tmp_path)))
        pids = [await pid_in(env, tmp_path / name) for name in ("forked", "program")]
        env.cancel("t1")
        await env.settled(1)
        await env.until(lambda: not any(map(is_alive, pids)), "the children to be gone")


async def test_children_left_by_a_task_end_with_its_process(env: WorkerEnv, tmp_path: Path) -> None:
    """At the latest when the worker stops, which they do not hold up."""
    worker = env.worker()
    worker.task(FOLDER, executor="process")(family.leave_children)
    async with worker:
        env.send("t1", orjson.dumps(str(tmp_path)))
        pids = [await pid_in(env, tmp_path / name) for name in ("forked", "program")]
        await env.settled(1)

    await env.until(lambda: not any(map(is_alive, pids)), "the children to be gone")
    assert os.getpid() not in pids


_WORKER = """
import asyncio, sys
from kallback.workers.context import TaskContext
from kallback.workers.registration.functions import inspect_function
from kallback.workers.registration.options import Executor, Registration
from kallback.workers.execution.process_pool import ProcessPool
from tests.unit.workers.execution import family
from tests.unit.workers.execution.test_children_of_tasks import FOLDER

async def main():
    function = inspect_function(FOLDER, family.have_children, Registration(executor=Executor.PROCESS))
    await ProcessPool(5, print).start(function, sys.argv[1], TaskContext("t1"), print).future

asyncio.run(main())
"""


async def test_forks_of_a_task_end_when_the_worker_is_killed(env: WorkerEnv, tmp_path: Path) -> None:
    """By SIGKILL, which gives no process a moment for its children."""
    root = Path(__file__).parents[4]
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", _WORKER, str(tmp_path), cwd=root)
    try:
        forked, program = [await pid_in(env, tmp_path / name) for name in ("forked", "program")]
    finally:
        worker.kill()
        await worker.wait()
    try:
        await env.until(lambda: not is_alive(forked), "the fork to be gone")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(program, signal.SIGKILL)  # a program of `subprocess` goes on, as the page says
