"""The processes of a run: started as a user starts them, each with its own log, kept alive as an orchestrator would.

Who owns what: the stage starts and ends processes; `faults.py` takes one *in hand* while it breaks it, and only then is
it not restarted by the keeper. A process that ends by itself is started again and noted as a `Crash`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.plan import BRIDGES, REQUEST_TIMEOUT, SESSION_TIMEOUT
from chaos.work import GRACE, LARGE_BYTES, foreign, long_work, process_work, work
from kallback.kafka import create_topics
from kallback.kafka.topics import TopicLayout
from kallback.settings import Settings
from kallback.testing import Stack
from kallback.testing.clients.restate import Admin, Ingress
from kallback.testing.servers.ports import accepts, free_ports
from kallback.testing.servers.processes import ChildProcess

ROOT: Final = Path(__file__).parent.parent
KALLBACK: Final = str(Path(sys.executable).with_name("kallback"))
WORKERS: Final = 2
_POLL_S: Final = 0.5
_KIB: Final = 1024


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
        pids: of every process that was ever started.
    """

    def __init__(self, stack: Stack, directory: Path, *, completer: str, named: bool) -> None:
        self.stack = stack
        self._completer = completer
        self._named = named
        self.directory = directory
        self._env = _environment(stack, directory)
        self._port = free_ports(1)[0]
        self.settings = Settings.from_env(self._env)
        self.ingress = Ingress(stack.ingress_url, timeout=15)
        self.admin = Admin(stack.admin_url, timeout=15)
        serve = (sys.executable, "-m", "kallback.cli", "service", "chaos.app:app", "--port", str(self._port))
        self.service = self._process("service", *serve)
        self.bridges = tuple(self._bridge(f"bridge-{number}") for number in range(1, BRIDGES + 1))
        self.workers = tuple(
            self._process(f"worker-{number}", KALLBACK, "worker", "chaos.worker:worker")
            for number in range(1, WORKERS + 1)
        )
        self.crashes: list[Crash] = []
        self.memory: list[MemorySample] = []
        self.pids: dict[int, str] = {}
        self._born: dict[int, float] = {}
        self._wanted: set[str] = set()
        self._taken_over: set[str] = set()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def processes(self) -> tuple[ChildProcess, ...]:
        """All of them, in the order of their start."""
        return (self.service, *self.bridges, *self.workers)

    def running(self, kind: tuple[ChildProcess, ...]) -> list[ChildProcess]:
        """Those that are to run."""
        return [process for process in kind if process.name in self._wanted]

    async def start(self) -> None:
        """Create the topics, start service, one bridge and the workers, register the service."""
        layout = TopicLayout(max_result_bytes=2 * LARGE_BYTES)
        await create_topics(
            self.settings.kafka,
            layout.specs(self.settings.topics, (work.topic, long_work.topic, process_work.topic, foreign.topic)),
        )
        for process in (self.service, self.bridges[0], *self.workers):
            self.launch(process)
        await asyncio.to_thread(self.service.wait_ready, lambda: accepts(self._port))
        await self.admin.register(f"http://127.0.0.1:{self._port}")
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
        ending = [*self.running(self.bridges), *self.running(self.workers), self.service]
        await asyncio.gather(*(asyncio.to_thread(process.stop, 30) for process in ending))
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
        await asyncio.gather(*(asyncio.to_thread(process.stop, 30) for process in going))

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

    def _bridge(self, name: str) -> ChildProcess:
        session = ("--session-timeout", f"{SESSION_TIMEOUT:g}", "--late-grace", f"{GRACE:g}")
        instance = ("--instance-id", name if self._named else "none")
        return self._process(
            name, KALLBACK, "bridge", "--outcomes", *instance, "--completer", self._completer, *session
        )

    def _process(self, name: str, *command: str) -> ChildProcess:
        env = self._env | {"CHAOS_NAME": name}
        return ChildProcess(name, command, log=self.directory / f"{name}.log", env=env, cwd=ROOT)


@asynccontextmanager
async def open_stage(stack: Stack, directory: Path, *, completer: str, named: bool) -> AsyncGenerator[Stage]:
    """Start everything, end everything; bridges that are not named join their group as dynamic members."""
    stage = Stage(stack, directory, completer=completer, named=named)
    try:
        await stage.start()
        yield stage
    finally:
        await stage.stop()


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
        "KALLBACK_KEYS": f"chaos:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "KALLBACK_RESTATE_REQUEST_TIMEOUT": f"{REQUEST_TIMEOUT:g}",
        "CHAOS_DIRECTORY": str(directory),
        "PYTHONUNBUFFERED": "1",
    }
