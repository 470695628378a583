"""The child process: runs one job after the other until its worker is gone.

The main thread runs the jobs, so that signals and libraries that want the main thread work. A daemon thread listens
for cancels, and notices the end of the worker: the closed pipe. The child leads a process group, so that what a task
function starts ends with it.

SIGINT is ignored: Ctrl-C reaches all processes of a terminal, and the worker drains. SIGTERM counts when the job is
cancelled: it raises `SystemExit` in the function, so that its `finally` runs. At any other time it comes from a
supervisor that signals every process of the service: the worker drains, and the child goes on, also one that starts.

Forks of the child (a pool of the task function, say) do not write to the pipe: messages of several processes would mix,
and a fork that returns from the function would answer for it, or for the next job. They log to stderr.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn

from kallback.workers.context import TaskContext
from kallback.workers.errors import TaskFailure, encode_problem, problem_of, traceback_of, unpicklable_problem
from kallback.workers.execution.child_pipe import ChildEnd
from kallback.workers.execution.messages import (
    ChildMessage,
    ContextParts,
    HeartbeatDetails,
    Job,
    JobCancel,
    JobEnd,
    LogRecordSender,
    RaisedError,
    RaisedFailure,
    ReturnedValue,
)
from kallback.workers.execution.process_groups import die_with_parent, kill_process_group, lead_process_group
from kallback.workers.pickling import pickled, unpickled

HELD_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
"""The worker starts a child with these blocked: they are minded as soon as the child has handlers for them."""
_ENDED_BY_SIGTERM: Final = 128 + signal.SIGTERM
_HEARTBEAT_INTERVAL_S: Final = 0.1  # the worker throttles them again, this only spares the pipe


def child_main(jobs: Connection, cancels: Connection, worker_id: int, log_level: int) -> None:
    """Run until the worker closes the pipe."""
    lead_process_group()
    die_with_parent()
    if os.getppid() != worker_id:
        os._exit(1)
    child = _Child(jobs, cancels)
    signal.signal(signal.SIGINT, _ignore)  # not SIG_IGN, which programs that a function starts would inherit
    signal.signal(signal.SIGTERM, child.on_sigterm)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    sender = LogRecordSender(child.send)
    logging.getLogger().addHandler(sender)
    logging.getLogger().setLevel(log_level)
    os.register_at_fork(after_in_child=functools.partial(child.on_fork, sender))
    threading.Thread(target=child.listen, name="kallback-child", daemon=True).start()
    child.work()


def _leave_fork(end: JobEnd) -> NoReturn:
    """End a fork that has come back from the function: nobody waits for it."""
    if isinstance(end, RaisedError):
        logging.getLogger(__name__).error("a fork of a task function failed:\n%s", end.traceback)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0 if isinstance(end, ReturnedValue) else 1)


def _ignore(_number: int, _frame: Any) -> None:
    pass


def _returned(value: Any, task_type: str) -> JobEnd:
    try:
        return ReturnedValue(pickled(value))
    except Exception as error:  # noqa: BLE001 - values of user types may raise anything while they are pickled
        return RaisedError(encode_problem(unpicklable_problem(task_type, error)), traceback_of(error))


def _end_of(error: BaseException) -> JobEnd:
    problem = encode_problem(problem_of(error, expose_tracebacks=False))
    return RaisedFailure(problem) if isinstance(error, TaskFailure) else RaisedError(problem, traceback_of(error))


def _attach(context: ContextParts) -> None:
    from kallback.workers.observability.spans import attach_to  # noqa: PLC0415 - OpenTelemetry is optional

    attach_to(context.traceparent, context.tracestate)


class _Child:
    def __init__(self, jobs: Connection, cancels: Connection) -> None:
        self._jobs: Final = ChildEnd(jobs)
        self._cancels: Final = cancels
        self._sending: Final = threading.Lock()
        self._state: Final = threading.RLock()
        self._cancel: JobCancel | None = None
        self._number = 0
        self._context: TaskContext | None = None
        self._details: bytes | None = None
        self._sent_at = 0.0
        self._timer: threading.Timer | None = None
        self._ending = False
        self._is_fork = False

    # The main thread.

    def work(self) -> None:
        while not self._ending:
            try:
                job: Job = self._jobs.receive()
            except (EOFError, OSError):
                return
            end = self._run(job)
            if self._is_fork:
                _leave_fork(end)
            self._flush()
            with self._state:
                self._context = None
            self.send(end)

    def _run(self, job: Job) -> JobEnd:
        context = self._context_of(job)
        try:
            if job.context.is_traced:
                _attach(job.context)
            function, request, takes_context = unpickled(job.call)
            value = function(request, context) if takes_context else function(request)
            return _returned(value, job.context.task_type)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is told
            return _end_of(error)

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
            on_heartbeat=functools.partial(self._record, job.number),
        )
        with self._state:
            self._context, self._number = context, job.number
            if self._cancel is not None and job.number <= self._cancel.number:
                context.cancel(self._cancel.reason)
        return context

    def on_sigterm(self, _number: int, _frame: Any) -> None:
        context = self._context
        if context is None or not context.cancelled:
            return
        self._ending = True
        if not self._sending.locked():  # half a message would be worse than SIGKILL, which comes a second later
            raise SystemExit(_ENDED_BY_SIGTERM)

    # A fork.

    def on_fork(self, sender: logging.Handler) -> None:
        """Take the pipe away from a fork; a lock of this object may be held in it for ever."""
        self._is_fork = True
        root = logging.getLogger()
        root.removeHandler(sender)
        root.addHandler(logging.StreamHandler())

    # Any thread.

    def send(self, message: ChildMessage) -> None:
        with self._sending:
            self._jobs.send(message)

    def _record(self, number: int, details: bytes) -> None:
        if self._is_fork:
            return
        with self._state:
            if number != self._number or self._context is None or not details:
                return  # from a thread that outlives its job, or without details: the worker sends those by itself
            self._details = details
            wait = self._sent_at + _HEARTBEAT_INTERVAL_S - time.monotonic()
            if wait > 0 and self._timer is not None:
                return
        if wait <= 0 or not self._send_later(wait):
            self._flush()

    def _send_later(self, wait: float) -> bool:
        """Send the newest details after a while; False if there is no thread for it."""
        timer = threading.Timer(wait, self._flush)
        timer.daemon = True
        with self._state:
            self._timer = timer
        try:
            timer.start()
        except RuntimeError:
            return False
        return True

    def _flush(self) -> None:
        with self._state:
            details, self._details, self._timer = self._details, None, None
            self._sent_at = time.monotonic()
        if details is not None:
            with contextlib.suppress(OSError):  # the worker is gone; the listening thread ends the process
                self.send(HeartbeatDetails(details))

    # The listening thread.

    def listen(self) -> None:
        try:
            while True:
                self._on_cancel(self._cancels.recv())
        except (EOFError, OSError):
            pass
        finally:  # the worker is gone, nothing waits for what the main thread does
            kill_process_group(os.getpid())
            os._exit(0)

    def _on_cancel(self, cancel: JobCancel) -> None:
        with self._state:
            self._cancel = cancel
            if self._context is not None and self._number <= cancel.number:
                self._context.cancel(cancel.reason)
