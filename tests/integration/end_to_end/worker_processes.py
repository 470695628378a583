"""`kallback worker` as processes of a test: their lines, with times, and how many partitions they read."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from tests.integration.end_to_end.environment import TaskPath

from kallback.testing import eventually
from kallback.testing.servers.ports import free_ports

PATIENCE_S = 60.0


class WorkerProcess:
    """One process.

    Attributes:
        lines: what it has printed, with the time of each line as `time.monotonic`.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.lines: list[tuple[float, str]] = []
        self._port = port
        self._reading = asyncio.create_task(self._read())

    async def line(self, wanted: str, after: int = 0) -> tuple[float, list[int]]:
        """Wait for a line that begins so, after so many lines; its time, and the numbers in it."""

        def found() -> tuple[float, list[int]] | None:
            lines = ((at, line) for at, line in self.lines[after:] if line.startswith(wanted))
            return next(((at, [int(number) for number in re.findall(r"\d+", line)]) for at, line in lines), None)

        return await eventually(f"a line {wanted!r}", found, timeout=PATIENCE_S)

    def last(self, wanted: str) -> tuple[float, list[int]]:
        """The last line that begins so."""
        at, line = [(at, line) for at, line in self.lines if line.startswith(wanted)][-1]
        return at, [int(number) for number in re.findall(r"\d+", line)]

    async def owned(self) -> float:
        """How many partitions it reads; 0 while it does not answer."""
        try:
            async with httpx.AsyncClient(timeout=60) as http:
                text = (await http.get(f"http://127.0.0.1:{self._port}/metrics")).text
        except httpx.HTTPError:
            return 0
        found = re.search(r"^kallback_worker_assigned_partitions (\S+)$", text, re.MULTILINE)
        return 0 if found is None else float(found[1])

    async def ended(self) -> None:
        """Wait for its end, and for its last line."""
        await self.process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.decode().strip()))


class WorkerProcesses:
    """Starts processes of one worker module, with the defaults that users have."""

    def __init__(self, path: TaskPath, module: str, environment: Mapping[str, str]) -> None:
        self.all: list[WorkerProcess] = []
        self._module = module
        self._environment = os.environ | {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": path.settings.kafka.bootstrap_servers,
            "KALLBACK_TOPICS_PREFIX": path.settings.topics.prefix,
            "RENDER": path.task_type.name,
            **environment,
        }

    async def start(self) -> WorkerProcess:
        """Start one."""
        (port,) = free_ports(1)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "kallback.cli", "worker", f"{self._module}:worker", "--health-port", str(port)),
            cwd=Path(__file__).parent,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.all.append(WorkerProcess(process, port))
        return self.all[-1]

    def running(self) -> list[WorkerProcess]:
        """Those that have not ended."""
        return [each for each in self.all if each.process.returncode is None]

    async def shared_out(self, partitions: int) -> None:
        """Wait until those that run read the same number of partitions each."""
        running = self.running()

        async def is_shared_out() -> bool:
            return [await worker.owned() for worker in running] == [partitions / len(running)] * len(running)

        await eventually(f"{len(running)} workers that share the partitions", is_shared_out, timeout=PATIENCE_S)

    async def next_begun(self, after: Mapping[WorkerProcess, int]) -> tuple[WorkerProcess, float, list[int]]:
        """Wait until one of the processes begins an attempt, after so many lines: which, when, and its numbers."""

        def found() -> tuple[WorkerProcess, float, list[int]] | None:
            for worker in self.all:
                for at, line in worker.lines[after.get(worker, 0) :]:
                    if line.startswith("begun"):
                        return worker, at, [int(number) for number in re.findall(r"\d+", line)]
            return None

        return await eventually("an attempt that begins", found, timeout=PATIENCE_S)

    def seen(self) -> dict[WorkerProcess, int]:
        """How many lines each process has printed."""
        return {worker: len(worker.lines) for worker in self.all}


@asynccontextmanager
async def worker_processes(path: TaskPath, module: str, **environment: str) -> AsyncGenerator[WorkerProcesses]:
    """Processes of a module; all that are left are killed at the end."""
    processes = WorkerProcesses(path, module, environment)
    try:
        yield processes
    finally:
        for worker in processes.running():
            worker.process.kill()
        for worker in processes.all:
            await worker.ended()
