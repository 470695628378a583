"""The processes of a run: started as a user starts them, each with its own log, kept alive as an orchestrator would.

Who owns what: the stage starts and ends processes; `faults.py` takes one *in hand* while it breaks it, and only then is
it not restarted by the keeper. A process that ends by itself is started again and noted as a `Crash`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from chaos.plan import BRIDGES, PARTITIONS, REQUEST_TIMEOUT
from chaos.programs import WORKER, bridge_command, new_keys, process_of, service_command
from chaos.second_team import SecondTeam
from chaos.topics import make_topics
from chaos.work import LARGE_BYTES, foreign, long_work, process_work, work
from kallback.kafka.topics import TopicLayout
from kallback.settings import Settings
from kallback.testing import Stack
from kallback.testing.clients.restate import Admin, Ingress
from kallback.testing.servers.ports import accepts, free_ports
from kallback.testing.servers.processes import ChildProcess

WORKERS: Final = 2
_POLL_S: Final = 0.5
_STOP_S: Final = 30.0
"""What an orchestrator waits before it kills."""
_KIB: Final = 1024
_HAS_PARTITIONS: Final = "partitions assigned"


@dataclass(frozen=True, slots=True)
class Crash:
    """A process that ended by itself.

    Attributes:
        at: epoch seconds.
    """

    name: str
    exit_code: int | None
    at: float
    last_words: str


@dataclass(frozen=True, slots=True)
class MemorySample:
    """One look at a bridge's resident memory.

    Attributes:
        age: seconds since the process was started.
    """

    name: str
    pid: int
    age: float
    mib: float


class Stage:
    """Everything that runs besides Kafka and Restate.

    Attributes:
        bridges: all that may run; how many do is `scale`'s.
        second: another team, which shares Kafka and Restate only.
        pids: of every process that was ever started.
        deployed: names and exit codes of processes that were stopped for a deployment.
    """

    def __init__(self, stack: Stack, directory: Path, *, completer: str, named: bool) -> None:
        self.stack = stack
        self.directory = directory
        self._env = _environment(stack, directory)
        self._port = free_ports(1)[0]
        self.settings = Settings.from_env(self._env)
        self.ingress = Ingress(stack.ingress_url, timeout=15)
        self.admin = Admin(stack.admin_url, timeout=15)
        self.service = self._process("service", service_command(self._port))
        names = [f"bridge-{number}" for number in range(1, BRIDGES + 1)]
        self.bridges = tuple(self._process(it, bridge_command(completer, it if named else None)) for it in names)
        self.workers = tuple(self._process(f"worker-{number}", WORKER) for number in range(1, WORKERS + 1))
        self.second = SecondTeam(self._env, directory, completer)
        self.crashes: list[Crash] = []
        self.memory: list[MemorySample] = []
        self.pids: dict[int, str] = {}
        self.deployed: list[tuple[str, int | None]] = []
        self._born: dict[int, float] = {}
        self._wanted: set[str] = set()
        self._taken_over: set[str] = set()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def processes(self) -> tuple[ChildProcess, ...]:
        """All of them, in the order of their start."""
        return (self.service, *self.bridges, *self.workers, *self.second.processes)

    def running(self, kind: tuple[ChildProcess, ...]) -> list[ChildProcess]:
        """Those that are to run."""
        return [process for process in kind if process.name in self._wanted]

    async def start(self) -> None:
        """Create the topics, start services, one bridge and the workers, register the services; of both teams."""
        layout = TopicLayout(partitions=PARTITIONS, max_result_bytes=2 * LARGE_BYTES)
        topics = [each.topic for each in (work, long_work, process_work, foreign)]
        await make_topics(self.settings, layout, topics)
        await self.second.make_topics()
        for process in (self.service, self.bridges[0], *self.workers, *self.second.processes):
            self.launch(process)
        await asyncio.to_thread(self.service.wait_ready, lambda: accepts(self._port))
        await self.second.serves()
        for address in (f"http://127.0.0.1:{self._port}", self.second.address):
            await self.admin.register(address)
        for bridge in (self.bridges[0], self.second.bridge):
            # What comes before the group's first commit would be its history.
            await asyncio.to_thread(bridge.wait_ready, partial(_has_partitions, bridge))
        self._keeper = asyncio.create_task(self._keep(), name="keeper")

    async def stop(self) -> None:
        """End every process; twice is fine."""
        await self._end_keeper()
        await self.ingress.stop()
        await self.admin.stop()
        for process in reversed(self.processes):
            process.kill()

    async def retire(self) -> list[tuple[str, int | None]]:
        """Ask bridges, workers and service to end, as a deployment does; return the exit codes."""
        await self._end_keeper()
        ours = [*self.running(self.bridges), *self.running(self.workers), self.service]
        ending = [*ours, *self.second.processes]
        await asyncio.gather(*(asyncio.to_thread(process.stop, _STOP_S) for process in ending))
        self._wanted.clear()
        return [(process.name, process.exit_code) for process in ending]

    def launch(self, process: ChildProcess) -> None:
        """Start a process that is to run from now on."""
        self._wanted.add(process.name)
        process.start()
        if process.pid is not None:
            self.pids[process.pid] = process.name
            self._born[process.pid] = time.time()

    async def scale(self, count: int) -> None:
        """Let so many bridges run; those that go are asked to."""
        for process in self.bridges[:count]:
            if process.name not in self._wanted:
                self.launch(process)
        going = [process for process in self.bridges[count:] if process.name in self._wanted]
        self._wanted -= {process.name for process in going}
        await asyncio.gather(*(asyncio.to_thread(process.stop, _STOP_S) for process in going))

    async def redeploy(self, process: ChildProcess) -> None:
        """Ask a process to end, and start it again if it is still to run."""
        with self.taken_over(process) as restore:
            await asyncio.to_thread(process.stop, _STOP_S)
            self.deployed.append((process.name, process.exit_code))
            restore()

    @contextmanager
    def taken_over(self, process: ChildProcess) -> Generator[Callable[[], None]]:
        """Break a process without the keeper's help; the value starts it again, if it is still to run."""

        def restore() -> None:
            if process.name in self._wanted:
                self.launch(process)

        self._taken_over.add(process.name)
        try:
            yield restore
        finally:
            self._taken_over.discard(process.name)

    async def _keep(self) -> None:
        while True:
            for process in self.processes:
                if process.name not in self._wanted or process.name in self._taken_over:
                    continue
                if not process.running:
                    self.crashes.append(Crash(process.name, process.exit_code, time.time(), process.log_tail(3)))
                    self.launch(process)
                elif process in self.bridges and (sample := self._memory_of(process)) is not None:
                    self.memory.append(sample)
            await asyncio.sleep(_POLL_S)

    def _memory_of(self, process: ChildProcess) -> MemorySample | None:
        if process.pid is None or (kib := resident_kib(process.pid)) is None:
            return None
        return MemorySample(process.name, process.pid, time.time() - self._born[process.pid], kib / _KIB)

    async def _end_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])

    def _process(self, name: str, command: tuple[str, ...]) -> ChildProcess:
        return process_of(name, command, self._env, self.directory)


@asynccontextmanager
async def open_stage(stack: Stack, directory: Path, *, completer: str, named: bool) -> AsyncGenerator[Stage]:
    """Start everything, end everything; bridges that are not named join their group as dynamic members."""
    stage = Stage(stack, directory, completer=completer, named=named)
    try:
        await stage.start()
        yield stage
    finally:
        await stage.stop()


def _has_partitions(bridge: ChildProcess) -> bool:
    return _HAS_PARTITIONS in bridge.log.read_text()


def resident_kib(pid: int) -> int | None:
    """A process's resident memory; None where there is no such process, or no /proc."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return None


def _environment(stack: Stack, directory: Path) -> dict[str, str]:
    """Settings for every process, with a signing key made for this one run."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("KALLBACK_")}
    return outside | {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "KALLBACK_RESTATE_INGRESS_URL": stack.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": stack.admin_url,
        "KALLBACK_KEYS": new_keys("chaos"),
        "KALLBACK_RESTATE_REQUEST_TIMEOUT": f"{REQUEST_TIMEOUT:g}",
        "CHAOS_DIRECTORY": str(directory),
        "PYTHONUNBUFFERED": "1",
    }
