"""A slot: a thread, and the child process that it keeps, from the worker's side.

The thread owns the process: it starts it, sends jobs, receives what the child says, and starts another one when a
child died. It lives as long as its process, because Linux ties `PR_SET_PDEATHSIG` to the thread that made the child.
The event loop gives calls, and tells the child of a cancel through a pipe of its own, which nobody else writes to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, Final, final

from kallback.protocol.problems import UNEXPECTED_ERROR, Problem
from kallback.protocol.retries import EXCEPTION
from kallback.workers.errors import ChildError, failure_of
from kallback.workers.execution.child import child_main
from kallback.workers.execution.messages import (
    ChildLogRecord,
    ChildMessage,
    HeartbeatDetails,
    Job,
    JobEnd,
    RaisedError,
    RaisedFailure,
    ReturnedValue,
)
from kallback.workers.execution.outcomes import CallOutcome, Raised, Returned
from kallback.workers.pickling import unpickled

logger = logging.getLogger(__name__)

_SPAWN: Final = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
_LOOK: Final = 1.0  # seconds between looks whether a silent child lives: a grandchild may hold its pipe open
_LEAVE_AFTER: Final = 1.0  # seconds that an idle child has to end when its pipe is closed


@final
class Call:
    """One call in a child. Made and used on the loop; the slot's thread ends it."""

    def __init__(self, job: Job, beat: Callable[[bytes], None], future: asyncio.Future[CallOutcome]) -> None:
        self.job: Final = job
        self.beat: Final = beat
        self.future: Final = future
        self.cancelled = False


@dataclass(slots=True)
class _Process:
    """A child and the worker's ends of its pipes."""

    process: SpawnProcess
    jobs: Connection
    cancels: Connection

    @classmethod
    def start(cls) -> _Process:
        jobs, child_jobs = _SPAWN.Pipe()
        child_cancels, cancels = _SPAWN.Pipe(duplex=False)
        level = logging.getLogger().getEffectiveLevel()
        arguments = (child_jobs, child_cancels, os.getpid(), level)
        process = _SPAWN.Process(target=child_main, args=arguments, name="kallback-child", daemon=True)
        try:
            process.start()
        except BaseException:
            jobs.close()
            cancels.close()
            raise
        finally:
            child_jobs.close()
            child_cancels.close()
        return cls(process, jobs, cancels)

    def receive(self) -> ChildMessage:
        while not self.jobs.poll(_LOOK):
            if not self.process.is_alive() and not self.jobs.poll(0):
                raise EOFError
        said: ChildMessage = self.jobs.recv()
        return said

    def is_idle(self) -> bool:
        """Whether it lives and waits; what it said since its last job (log lines of other threads) is passed over."""
        try:
            while self.jobs.poll(0):
                self.jobs.recv()
        except (EOFError, OSError):
            return False
        return self.process.is_alive()

    def close(self) -> None:
        self.jobs.close()
        self.cancels.close()
        self.process.join(_LEAVE_AFTER)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()


@final
class ProcessSlot:
    """A thread and its process."""

    def __init__(self, freed: Callable[[ProcessSlot], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._freed = freed
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._child: _Process | None = None
        self.ended = asyncio.Event()
        self._thread = threading.Thread(target=self._keep, name="kallback-slot", daemon=True)
        self._thread.start()

    # On the loop.

    def give(self, call: Call) -> None:
        """Make a call."""
        self._calls.put(call)

    def tell(self, call: Call) -> None:
        """Tell the child that its job is cancelled."""
        if self._child is not None:
            with contextlib.suppress(OSError):  # it has just died
                self._child.cancels.send(call.job.number)

    def terminate(self) -> None:
        """Send SIGTERM to the child."""
        if self._child is not None:
            self._child.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to the child."""
        if self._child is not None:
            self._child.process.kill()

    def close(self) -> None:
        """End child and thread after the present call."""
        self._calls.put(None)

    # On the slot's thread.

    def _keep(self) -> None:
        while (call := self._calls.get()) is not None:
            ended = self._do(call)
            self._tell_loop(self._over, call, ended)
        if self._child is not None:
            self._child.close()
        self._tell_loop(self.ended.set)

    def _do(self, call: Call) -> CallOutcome:
        try:
            child = self._living()
        except Exception as error:  # noqa: BLE001 - no memory, no more processes allowed: this attempt's failure
            return Raised(error)
        if call.cancelled:
            return Raised(_died("cancelled before it began"))
        try:
            child.jobs.send(call.job)
            while True:
                said = child.receive()
                if not isinstance(said, (ChildLogRecord, HeartbeatDetails)):
                    return _ended(said)
                _hear(said, call)
        except (EOFError, OSError):
            self._child = None
            child.close()
            return Raised(_died(_last_words(child.process.exitcode)))

    def _living(self) -> _Process:
        if self._child is not None and not self._child.is_idle():
            self._child.close()
            self._child = None
        if self._child is None:
            self._child = _Process.start()
        return self._child

    def _tell_loop(self, then: Callable[..., object], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone, nobody listens
            self._loop.call_soon_threadsafe(then, *arguments)

    def _over(self, call: Call, ended: CallOutcome) -> None:
        if not call.future.done():
            call.future.set_result(ended)
        self._freed(self)


def _hear(said: ChildLogRecord | HeartbeatDetails, call: Call) -> None:
    if isinstance(said, HeartbeatDetails):
        call.beat(said.details)
        return
    try:
        record: logging.LogRecord = unpickled(said.record)
    except Exception:
        logger.exception("a log record of a child process cannot be read")
        return
    log = logging.getLogger(record.name)
    if log.isEnabledFor(record.levelno):
        log.handle(record)


def _ended(finished: JobEnd) -> CallOutcome:
    match finished:
        case ReturnedValue(data):
            try:
                return Returned(unpickled(data))
            except Exception as error:  # noqa: BLE001 - classes of the user may raise anything
                return Raised(error)
        case RaisedFailure(problem):
            return Raised(failure_of(problem))
        case RaisedError(problem, text):
            return Raised(ChildError(problem, text))


def _died(how: str) -> ChildError:
    detail = f"ProcessDied: the process of the task function {how}"
    return ChildError(Problem(UNEXPECTED_ERROR, 500, detail, extensions={EXCEPTION: ["ProcessDied"]}), "")


def _last_words(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was ended by signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"was ended by signal {-exit_code}"
