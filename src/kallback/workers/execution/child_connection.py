"""A child process and the worker's ends of its pipes. One slot's thread owns it; `tell` and the signals are the loop's.

Children are no daemons in the sense of `multiprocessing`, as those may not have children themselves. What
`multiprocessing` does for daemons at the end of the interpreter is done here: children that were not closed are killed.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import multiprocessing
import os
import signal
import weakref
from collections.abc import Generator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final, Self, final

from kallback.workers.execution.child import HELD_SIGNALS, child_main
from kallback.workers.execution.child_pipe import WorkerEnd
from kallback.workers.execution.messages import ChildMessage, Job, JobCancel
from kallback.workers.execution.outcomes import NotStartedError
from kallback.workers.execution.process_groups import kill_process_group

_SPAWN: Final = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
_LEAVE_TIMEOUT_S: Final = 1.0  # for an idle child to end when its pipe is closed
_REAP_TIMEOUT_S: Final = 5.0  # after SIGKILL; longer only in an uninterruptible system call


@final
class ChildConnection:
    """One child."""

    def __init__(self, process: SpawnProcess, jobs: Connection, cancels: Connection) -> None:
        self._process: Final = process
        self._jobs: Final = WorkerEnd(jobs, process.is_alive)
        self._cancels: Final = cancels
        _open_connections.add(self)

    @classmethod
    def start(cls) -> Self:
        """Start a child.

        Raises:
            NotStartedError: the operating system allows no more processes, or has no memory.
        """
        try:
            return cls(*_start_process())
        except (OSError, MemoryError, RuntimeError) as error:
            raise NotStartedError(f"no child process can be started: {error}") from error

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def send(self, job: Job) -> None:
        """Give it a job.

        Raises:
            EOFError, OSError: it is gone.
        """
        self._jobs.send(job)

    def receive(self) -> ChildMessage:
        """Wait for its next message.

        Raises:
            EOFError, OSError: it is gone.
        """
        message: ChildMessage = self._jobs.receive()
        return message

    def is_idle(self) -> bool:
        """Whether it lives and waits; messages since its last job (log lines of other threads) are dropped."""
        try:
            self._jobs.discard()
        except (EOFError, OSError):
            return False
        return self._process.is_alive()

    def cancel(self, cancel: JobCancel) -> None:
        """Tell it that a job is cancelled; fine if it is gone."""
        with contextlib.suppress(OSError):
            self._cancels.send(cancel)

    def terminate(self) -> None:
        """Send SIGTERM to the child alone, which may then end what it has started."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill the child and everything that it has started."""
        if self._process.pid is not None:
            kill_process_group(self._process.pid)
        self._process.kill()  # a child that was killed before it led its group

    def close(self) -> None:
        """End it, and everything that it has started."""
        self._jobs.close()
        self._cancels.close()
        self._process.join(_LEAVE_TIMEOUT_S)
        self.kill()
        self._process.join(_REAP_TIMEOUT_S)
        _open_connections.discard(self)


@contextlib.contextmanager
def _signals_held() -> Generator[None]:
    """Hold signals for the children that this thread starts, until `child_main` can mind them.

    A supervisor signals every process of the service, and a child that starts would end with its job.
    """
    resource_tracker.ensure_running()  # it lets signals through again when it starts its own process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_process() -> tuple[SpawnProcess, Connection, Connection]:
    jobs, child_jobs = _SPAWN.Pipe()
    child_cancels, cancels = _SPAWN.Pipe(duplex=False)
    level = logging.getLogger().getEffectiveLevel()
    arguments = (child_jobs, child_cancels, os.getpid(), level)
    process = _SPAWN.Process(target=child_main, args=arguments, name="kallback-child", daemon=False)
    try:
        with _signals_held():
            process.start()
    except BaseException:
        jobs.close()
        cancels.close()
        raise
    finally:
        child_jobs.close()
        child_cancels.close()
    return process, jobs, cancels


_open_connections: Final = weakref.WeakSet[ChildConnection]()


def _kill_all() -> None:
    """Before `multiprocessing` waits for its children at the end of the interpreter: they would wait for jobs."""
    for connection in list(_open_connections):
        connection.kill()


atexit.register(_kill_all)
