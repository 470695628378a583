"""The processes of an installation: a command with a health port, a log, and a file of callbacks that held its loop."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from attacks.memory_limit import MemoryLimit
from attacks.work import LIMIT_VARIABLE, LOOP_VARIABLE
from kallback.testing.servers.ports import accepts, free_ports
from kallback.testing.servers.processes import ChildProcess

ROOT: Final = Path(__file__).parents[1]
_KIB: Final = 1024
_STARTING: Final = frozenset({"Task-1", "service"})
"""The tasks that start a program."""
_STOP_GRACE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class HeldLoop:
    """A callback that held an event loop.

    Attributes:
        at: when it ended, on the monotonic clock.
        ms: CPU time of the loop's thread.
        what: the task or the callback.
    """

    at: float
    ms: float
    what: str


_NOT_HELD: Final = HeldLoop(0.0, 0.0, "")


class Program:
    """`kallback ...` as a process that is measured.

    Args:
        limit_mib: of its memory, as a container has one; None: no limit.

    Attributes:
        port: of its health port.
        serving: whether it has started and is not asked to end.
    """

    def __init__(
        self, name: str, *command: str, env: Mapping[str, str], directory: Path, limit_mib: int | None = None
    ) -> None:
        self.name = name
        self.port = free_ports(1)[0]
        self._log = directory / f"{name}.log"
        self._loop = directory / f"{name}.loop"
        words = (sys.executable, "-m", "attacks.measured", *command, "--health-port", str(self.port))
        variables = {**env, LOOP_VARIABLE: str(self._loop), "PYTHONUNBUFFERED": "1"}
        self._limit = (
            None if limit_mib is None else MemoryLimit(f"kallback-attacks-{os.getpid()}-{self.port}", limit_mib)
        )
        if self._limit is not None:
            variables[LIMIT_VARIABLE] = str(self._limit.processes)
        self._child = ChildProcess(name, words, log=self._log, env=variables, cwd=ROOT)
        self.serving = False
        self._peak_mib = 0.0
        self._since = time.monotonic()
        self._lines_before = 0

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self._child.running

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._child.exit_code

    @property
    def _pid(self) -> int | None:
        return self._child.pid

    def start(self) -> None:
        """Start it; return when its health port is open."""
        self._child.start()
        self._child.wait_ready(lambda: accepts(self.port))
        self.serving = True

    def stop(self) -> None:
        """Ask it to end, and return when it has ended."""
        self.serving = False
        self._peak_mib = self.peak_mib()
        self._child.stop(_STOP_GRACE_S)

    def kill(self) -> None:
        """End it at once."""
        self.serving = False
        self._child.kill()
        if self._limit is not None:
            self._limit.remove()

    def forget_the_past(self) -> None:
        """What is measured begins now."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        self._peak_mib, self._since, self._lines_before = 0.0, time.monotonic(), self._lines()

    def peak_mib(self) -> float:
        """The most resident memory since then, also of processes of this program that have ended."""
        return max(self._peak_mib, peak_mib(self._pid))

    def log_lines(self) -> int:
        """Lines that were written since then."""
        return self._lines() - self._lines_before

    def log_tail(self) -> str:
        """The last lines."""
        return self._child.log_tail(3)

    def longest_hold(self) -> HeldLoop:
        """The callback that used most CPU since then. Imports of a start do not count."""
        holds = [held for held in self._holds() if held.at >= self._since and held.what not in _STARTING]
        return max(holds, key=lambda held: held.ms, default=_NOT_HELD)

    def _holds(self) -> list[HeldLoop]:
        if not self._loop.exists():
            return []
        lines = (line.split(" ", 2) for line in self._loop.read_text().splitlines())
        return [HeldLoop(float(at), float(ms), what) for at, ms, what in lines]

    def _lines(self) -> int:
        return self._log.read_bytes().count(b"\n") if self._log.exists() else 0


def peak_mib(pid: int | None) -> float:
    """The most resident memory of a running process; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / _KIB
    return 0.0


def variables_of(**settings: str) -> dict[str, str]:
    """The environment of programs: this process's, without its own settings of kallback."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("KALLBACK_")}
    return outside | settings
