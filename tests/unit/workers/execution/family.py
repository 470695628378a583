"""Task functions that start processes; child processes import them from here."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_FORK = multiprocessing.get_context("fork")


def _square(number: int) -> int:
    return number * number


def use_a_pool(_folder: str) -> str:
    """Compute with a pool."""
    with _FORK.Pool(2) as pool:
        return str(pool.map(_square, [1, 2, 3]))


def _live_long(file: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)


def _start(folder: str) -> None:
    _FORK.Process(target=_live_long, args=(f"{folder}/forked",)).start()
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (Path(folder) / "program").write_text(str(program.pid))


def have_children(folder: str) -> str:
    """Start a process and a program, and wait for ever."""
    _start(folder)
    time.sleep(600)
    return ""


def leave_children(folder: str) -> str:
    """Start a process and a program, and leave them behind."""
    _start(folder)
    return "left"
