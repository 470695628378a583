"""Task functions that start processes; child processes import them from here."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_FORK = multiprocessing.get_context("fork")
_LINES = 20


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


def _log_much(_number: int) -> None:
    for _ in range(_LINES):
        logging.getLogger("kitchen.oven").warning("x" * 300_000)


def log_in_forks(_folder: str) -> str:
    """Log long lines in several processes at the same time."""
    forks = [_FORK.Process(target=_log_much, args=(number,)) for number in range(3)]
    for fork in forks:
        fork.start()
    _log_much(0)
    for fork in forks:
        fork.join()
    return "logged"


def return_twice(folder: str) -> str:
    """Return in a fork, too, once the next task runs, which waits for the end of the fork."""
    forked, follower = Path(folder) / "forked", Path(folder) / "follower"
    if forked.exists():
        follower.touch()
        os.waitpid(int(forked.read_text()), 0)
        return "of the next task"
    if pid := os.fork():
        forked.write_text(str(pid))
        return "of the task"
    while not follower.exists():
        time.sleep(0.01)
    return "of the fork"
