"""Stops servers and removes directories of a process that died, which `atexit` and signal handlers cannot do.

A process that starts servers starts one watchdog and tells it, line by line on a pipe, which process groups,
directories and containers it owns. The pipe reaches its end when the parent dies, however it dies
(`kill -9` included, and on every POSIX system; Linux's PR_SET_PDEATHSIG fires when the *thread* that spawned ends,
which a server started from a thread pool would not survive). The watchdog then kills the groups and removes the rest.

This file runs as a script, by path, without the package: it imports only the standard library.

    +group PGID | -group PGID | +tree PATH | -tree PATH | +container ID | -container ID
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_REMOVAL_ATTEMPTS = 20
_REMOVAL_PAUSE = 0.05


def main() -> None:
    """Read standard input to its end, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    left = read_resources(sys.stdin)
    for kind, name in left:
        if kind == "group":
            kill_group(int(name))
    for kind, name in left:
        if kind == "tree":
            remove_tree(name)
        elif kind == "container":
            remove_container(name)


def read_resources(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return what was added and not removed, oldest first."""
    resources: dict[tuple[str, str], None] = {}
    for line in lines:
        kind, _, name = line[1:].rstrip("\n").partition(" ")
        if line.startswith("+"):
            resources[kind, name] = None
        else:
            resources.pop((kind, name), None)
    return list(resources)


def kill_group(group: int) -> None:
    """Kill a process group with SIGKILL, which also ends stopped processes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def remove_tree(path: str) -> None:
    """Remove a directory whose killed owner may still be writing its last bytes."""
    for _ in range(_REMOVAL_ATTEMPTS):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return
        time.sleep(_REMOVAL_PAUSE)


def remove_container(name: str) -> None:
    """Remove a container with its data; without the docker command testcontainers' Ryuk has to."""
    command = shutil.which("docker")
    if command is not None:
        subprocess.run([command, "rm", "-fv", name], capture_output=True, check=False)  # noqa: S603 - our own container


if __name__ == "__main__":
    main()
