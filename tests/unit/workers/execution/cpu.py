"""Task functions for child processes, which import them from here."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

from kallback.workers import TaskContext, TaskFailure


class PickyError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)
        self.other = other


class TooPickyError(PickyError, ValueError):
    """One with more bases."""


def who(_text: str) -> str:
    """Say which process it is."""
    return str(os.getpid())


def tell(text: str, task: TaskContext) -> str:
    """Say what the context holds, and something in the log."""
    task.log.warning("%s in a child", text, extra={"odd": object()})
    logging.getLogger("kitchen.oven").warning("hot")
    task.heartbeat({"done": 1})
    return f"{task.task_id} {task.attempt} {task.last_details} {task.traceparent}"


def beat_and_wait(folder: str, task: TaskContext) -> str:
    """Send heartbeats until a file is there."""
    for number in range(10_000):
        task.heartbeat({"done": number})
        if (Path(folder) / "enough").exists():
            break
        time.sleep(0.001)
    return "done"


def beat_twice_and_wait(folder: str, task: TaskContext) -> str:
    """Send two heartbeats, then wait until a file is there."""
    task.heartbeat("first")
    task.heartbeat("second")
    while not (Path(folder) / "enough").exists():
        time.sleep(0.005)
    return "done"


def beat_and_fail(_text: str, task: TaskContext) -> NoReturn:
    """Send heartbeats quickly, then fail."""
    for number in range(100):
        task.heartbeat({"done": number})
    raise TaskFailure("Dropped")


def wait_for_cancel(folder: str, task: TaskContext) -> str:
    """Look at `cancelled`, as it should, and write down why."""
    (Path(folder) / "begun").write_text(str(os.getpid()))
    while not task.cancelled:
        time.sleep(0.005)
    (Path(folder) / "seen").write_text(str(task.stop_reason))
    return "late"


def ignore_cancel(folder: str) -> str:
    """Never look; clean up when the process is ended."""
    (Path(folder) / "begun").write_text(str(os.getpid()))
    try:
        time.sleep(600)
    finally:
        (Path(folder) / "clean").touch()
    return ""


def ignore_everything(folder: str) -> str:
    """Never look, and reject SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (Path(folder) / "begun").write_text(str(os.getpid()))
    time.sleep(600)
    return ""


def hold_the_gil(folder: str) -> str:
    """Compute in C for minutes without letting any other Python thread run, or looking at signals."""
    (Path(folder) / "begun").write_text(str(os.getpid()))
    return str(pow(7, 10**9) % 10)


def hold_the_gil_for(seconds: str) -> str:
    """Compute in C for a while without letting any other Python thread run."""
    ctypes.PyDLL(None).sleep(int(seconds))
    return seconds


def kill_once(folder: str) -> str:
    """Be killed the first time, as by the kernel when memory runs out."""
    mark = Path(folder) / "been"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def segfault(_text: str) -> NoReturn:
    """Read at address 0."""
    ctypes.string_at(0)
    raise AssertionError


def leave(_text: str) -> NoReturn:
    """End the process."""
    os._exit(3)


def ask_to_leave(_text: str) -> NoReturn:
    """End the process politely."""
    raise SystemExit(4)


def fail(text: str) -> NoReturn:
    """Fail on purpose."""
    raise TaskFailure("OutOfStock", text, status=422, retryable=True, shelf={"row": 4})


def break_down(text: str) -> NoReturn:
    """Fail unexpectedly, with what cannot travel."""
    raise TooPickyError(text, "other")


def lock(_text: str) -> str:
    """Return what cannot travel."""
    import threading  # noqa: PLC0415 - only here

    return threading.Lock()  # type: ignore[return-value] # wrong on purpose


def decorated(text: str) -> str:
    """Be hidden by another object of this name."""
    return text


hidden = decorated
globals()["decorated"] = str.upper
