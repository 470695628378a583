"""Commands as processes of their own, and what the kernel says of them (`/proc`; Linux only)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from kallback.testing.servers.ports import accepts, free_ports
from kallback.testing.servers.processes import ChildProcess

ROOT: Final = Path(__file__).parents[1]
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MIB: Final = 1024


@dataclass(frozen=True)
class Checkout:
    """A working copy of this repository whose commands are measured, with the interpreter that runs now.

    Attributes:
        root: the folder that holds `src/kallback`.
    """

    root: Path

    @property
    def variables(self) -> dict[str, str]:
        """Makes Python import this checkout's package: `PYTHONPATH` comes before what is installed."""
        return {"PYTHONPATH": str(self.root / "src")}

    def require_own_package(self) -> None:
        """Look whether a command that is started for this checkout runs its code.

        Raises:
            SystemExit: it does not, or does not start.
        """
        command = [sys.executable, "-c", "import kallback.cli; print(kallback.__file__)"]
        done = subprocess.run(
            command, env=os.environ | self.variables, cwd=self.root, capture_output=True, text=True, check=False
        )
        if done.returncode or not done.stdout.startswith(f"{self.root / 'src'}{os.sep}"):
            raise SystemExit(f"{self.root} has no package kallback that starts here: {done.stdout}{done.stderr}")


THIS: Final = Checkout(ROOT)


@contextmanager
def running(
    name: str, command: list[str], *, env: Mapping[str, str], log: Path, ready: str | None
) -> Generator[ChildProcess]:
    """Start `python -m ...`, return when its log says `ready` (None: at once), stop it at the end."""
    child = ChildProcess(name, [sys.executable, "-m", *command], log=log, env={**os.environ, **env})
    try:
        child.start()
        if ready is not None:
            child.wait_ready(lambda: log.exists() and ready in log.read_text(errors="replace"))
        yield child
    finally:
        child.stop()


class BridgeProcess:
    """`kallback bridge` in one of its modes; its health port tells when it runs, whatever its log says.

    Args:
        mode: of `--completer`.
        more: other options.
        env: settings.
        log: of its output.
        checkout: whose code runs.
    """

    def __init__(self, mode: str, *more: str, env: Mapping[str, str], log: Path, checkout: Checkout = THIS) -> None:
        self._port = free_ports(1)[0]
        completer = ["--completer", mode] if has_completers(checkout) else []
        command = ["kallback.cli", "bridge", *completer, "--health-port", str(self._port), *more]
        variables = {**os.environ, **env, **checkout.variables}
        self.child = ChildProcess("bridge", [sys.executable, "-m", *command], log=log, env=variables, cwd=checkout.root)

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self.child.pid

    def start(self) -> None:
        """Start it, or start it again after a kill; return when it runs."""
        self.child.start()
        self.child.wait_ready(lambda: accepts(self._port))

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.child.kill()

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.child.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ask it to end."""
        self.child.stop()


def require_running(child: ChildProcess) -> None:
    """End a wait for a process that is gone.

    Raises:
        RuntimeError: it has ended; carries its last log lines.
    """
    if not child.running:
        raise RuntimeError(f"{child.name} ended with exit code {child.exit_code}:\n{child.log_tail()}")


@cache
def has_completers(checkout: Checkout = THIS) -> bool:
    """Whether this bridge has more than one way to complete."""
    answer = subprocess.run(
        [sys.executable, "-m", "kallback.cli", "bridge", "--help"],
        env=os.environ | checkout.variables,
        cwd=checkout.root,
        capture_output=True,
        text=True,
        check=True,
    )
    return "--completer" in answer.stdout


def cpu_seconds(pid: int | None) -> float:
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int | str | None, field: str = "VmRSS") -> float:
    """Memory of a process (`self`: this one): `VmRSS` now, `VmHWM` at most so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / _MIB
    return 0.0
