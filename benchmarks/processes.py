"""Commands as processes of their own, and what the kernel says of them (`/proc`; Linux only)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from kallback.testing.servers.processes import ChildProcess

BRIDGE_RUNS: Final = "the bridge runs"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MIB: Final = 1024


@contextmanager
def running(
    name: str, command: list[str], *, env: Mapping[str, str], log: Path, ready: str | None
) -> Generator[ChildProcess]:
    """Start `python -m ...`, return when its log says `ready` (None: at once), stop it at the end."""
    child = ChildProcess(name, [sys.executable, "-m", *command], log=log, env={**os.environ, **env})
    try:
        start(child, ready)
        yield child
    finally:
        child.stop()


def start(child: ChildProcess, ready: str | None) -> None:
    """Start it, or start it again, and return when its log says `ready` once more."""
    if ready is None:
        child.start()
        return
    before = _count(child.log, ready)
    child.start()
    child.wait_ready(lambda: _count(child.log, ready) > before)


def insist(child: ChildProcess) -> None:
    """Nobody should wait for a process that is gone.

    Raises:
        RuntimeError: it has ended; carries its last log lines.
    """
    if not child.running:
        raise RuntimeError(f"{child.name} ended with exit code {child.exit_code}:\n{child.log_tail()}")


def bridge_command(mode: str, *more: str) -> list[str]:
    """`kallback bridge` in one of its modes."""
    completer = ["--completer", mode] if has_completers() else []
    return ["kallback.cli", "bridge", *completer, *more]


@cache
def has_completers() -> bool:
    """Whether this bridge has more than one way to complete."""
    answer = subprocess.run(
        [sys.executable, "-m", "kallback.cli", "bridge", "--help"], capture_output=True, text=True, check=True
    )
    return "--completer" in answer.stdout


def cpu_seconds(pid: int | None) -> float:
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int | None, field: str = "VmRSS") -> float:
    """Memory of a process: `VmRSS` now, `VmHWM` at most so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / _MIB
    return 0.0


def _count(log: Path, text: str) -> int:
    return log.read_text(errors="replace").count(text) if log.exists() else 0
