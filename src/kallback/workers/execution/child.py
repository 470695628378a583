"""The child process: does one job after the other until its worker is gone.

The main thread does the jobs, so that signals and libraries that want the main thread work. A daemon thread listens
for cancels, and notices the end of the worker: the closed pipe. On Linux
the kernel also kills the child when the worker dies (`PR_SET_PDEATHSIG`), which no computation can delay.

SIGINT is the worker's: Ctrl-C reaches the whole group of processes, and the worker drains. SIGTERM counts when the
job is cancelled: it raises `SystemExit` in the function, so that its `finally` runs. At any other time it is a
supervisor's, that signals every process of the service: the worker drains, and the child goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, Final

from kallback.workers.context import TaskContext
from kallback.workers.errors import TaskFailure, interrupted, problem_of, traceback_of
from kallback.workers.execution.messages import (
    ChildMessage,
    HeartbeatDetails,
    Job,
    JobEnd,
    LineSender,
    RaisedError,
    RaisedFailure,
    ReturnedValue,
)
from kallback.workers.pickling import pickled, unpickled

_PR_SET_PDEATHSIG: Final = 1
_ENDED_BY_SIGTERM: Final = 128 + signal.SIGTERM
_BEATS_EVERY: Final = 0.1  # seconds; the worker throttles them again, this only spares the pipe


def child_main(jobs: Connection, cancels: Connection, worker_id: int, log_level: int) -> None:
    """Run until the worker closes the pipe."""
    _die_with(worker_id)
    child = _Child(jobs, cancels)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, child.on_sigterm)
    logging.getLogger().addHandler(LineSender(child.say))
    logging.getLogger().setLevel(log_level)
    threading.Thread(target=child.listen, name="kallback-child", daemon=True).start()
    child.work()


def _die_with(worker_id: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc: the closed pipe is noticed all the same
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker_id:
        os._exit(1)


class _Child:
    def __init__(self, jobs: Connection, cancels: Connection) -> None:
        self._jobs: Final = jobs
        self._cancels: Final = cancels
        self._sending: Final = threading.Lock()
        self._state: Final = threading.RLock()
        self._cancelled_up_to = 0
        self._number = 0
        self._context: TaskContext | None = None
        self._details: bytes | None = None
        self._beaten = 0.0
        self._timer: threading.Timer | None = None
        self._ending = False

    # The main thread.

    def work(self) -> None:
        while not self._ending:
            try:
                job: Job = self._jobs.recv()
            except (EOFError, OSError):
                return
            finished = self._do(job)
            self._flush()
            with self._state:
                self._context = None
            self.say(finished)

    def _do(self, job: Job) -> JobEnd:
        context = self._context_of(job)
        try:
            function, request, takes_context = unpickled(job.call)
            value = function(request, context) if takes_context else function(request)
            return ReturnedValue(pickled(value))
        except TaskFailure as failure:
            return _failure(failure)
        except SystemExit as error:
            return _failure(interrupted("SystemExit", str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
            return RaisedError(problem_of(error, expose_tracebacks=False), traceback_of(error))

    def _context_of(self, job: Job) -> TaskContext:
        parts = job.context
        context = TaskContext(
            parts.task_id,
            attempt=parts.attempt,
            task_type=parts.task_type,
            deadline=parts.deadline,
            traceparent=parts.traceparent,
            tracestate=parts.tracestate,
            last_details=parts.last_details,
            on_heartbeat=functools.partial(self._beat, job.number),
        )
        with self._state:
            self._context, self._number = context, job.number
            if job.number <= self._cancelled_up_to:
                context.cancel()
        return context

    def on_sigterm(self, _number: int, _frame: Any) -> None:
        context = self._context
        if context is None or not context.cancelled:
            return
        self._ending = True
        if not self._sending.locked():  # half a message would be worse than SIGKILL, which comes a second later
            raise SystemExit(_ENDED_BY_SIGTERM)

    # Any thread.

    def say(self, said: ChildMessage) -> None:
        with self._sending:
            self._jobs.send(said)

    def _beat(self, number: int, details: bytes) -> None:
        with self._state:
            if number != self._number or self._context is None or not details:
                return  # a thread that outlives its job, or a sign of life: those are the worker's
            self._details = details
            wait = self._beaten + _BEATS_EVERY - time.monotonic()
            if wait > 0:
                if self._timer is None:
                    self._timer = threading.Timer(wait, self._flush)
                    self._timer.daemon = True
                    self._timer.start()
                return
        self._flush()

    def _flush(self) -> None:
        with self._state:
            details, self._details, self._timer = self._details, None, None
            self._beaten = time.monotonic()
        if details is not None:
            with contextlib.suppress(OSError):  # the worker is gone; whoever listens ends the process
                self.say(HeartbeatDetails(details))

    # The listening thread.

    def listen(self) -> None:
        while True:
            try:
                self._cancel(self._cancels.recv())
            except (EOFError, OSError):
                os._exit(0)  # the worker is gone, nobody waits for what the main thread does

    def _cancel(self, number: int) -> None:
        with self._state:
            self._cancelled_up_to = max(self._cancelled_up_to, number)
            if self._context is not None and self._number <= number:
                self._context.cancel()


def _failure(failure: TaskFailure) -> JobEnd:
    try:
        pickled(failure.problem)
    except Exception as error:  # noqa: BLE001 - extensions are the user's objects
        return RaisedError(problem_of(error, expose_tracebacks=False), traceback_of(failure))
    return RaisedFailure(failure.problem)
