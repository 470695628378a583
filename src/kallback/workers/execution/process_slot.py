"""A slot: a thread, and the child process that it keeps, from the worker's side.

The thread owns the process: it starts it, sends jobs, receives messages, and starts another one when a child died. It
lives as long as its process, because Linux ties `PR_SET_PDEATHSIG` to the thread that made the child. Whatever happens
in it, each call gets its outcome: a failure in a slot is that call's failure, and the slot takes the next call.

The event loop gives calls, and tells the child of a cancel through a pipe of its own, which only the loop writes to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, final

from kallback.protocol.problems import UNEXPECTED_ERROR, Problem
from kallback.protocol.retries import EXCEPTION
from kallback.workers.errors import ChildError, failure_of
from kallback.workers.execution.child_connection import ChildConnection
from kallback.workers.execution.messages import (
    ChildLogRecord,
    HeartbeatDetails,
    Job,
    JobCancel,
    JobEnd,
    RaisedError,
    RaisedFailure,
    ReturnedValue,
)
from kallback.workers.execution.outcomes import CallOutcome, NotStartedError, Raised, Returned
from kallback.workers.logs import guarded_logger
from kallback.workers.pickling import unpickled
from kallback.workers.stop_reason import StopReason

logger = guarded_logger(__name__)


@final
class ProcessCall:
    """One call in a child. Made and used on the loop; the slot's thread ends it.

    Attributes:
        on_heartbeat: takes the details of each heartbeat; any thread.
        future: ends with the call.
    """

    def __init__(self, job: Job, on_heartbeat: Callable[[bytes], None], future: asyncio.Future[CallOutcome]) -> None:
        self.job: Final = job
        self.on_heartbeat: Final = on_heartbeat
        self.future: Final = future
        self.cancelled = False


@final
class ProcessSlot:
    """A thread and its child.

    Args:
        on_free: called on the loop after each call.

    Raises:
        NotStartedError: there is no thread for it.
    """

    def __init__(self, on_free: Callable[[ProcessSlot], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_free = on_free
        self._calls: SimpleQueue[ProcessCall | None] = SimpleQueue()
        self._child: ChildConnection | None = None
        self._was_terminated = False  # a child that was sent SIGTERM may end after its answer: it gets no other job
        self.ended = asyncio.Event()
        thread = threading.Thread(target=self._work, name="kallback-slot", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise NotStartedError(f"no thread can be started: {error}") from error

    # On the loop.

    def submit(self, call: ProcessCall) -> None:
        """Make a call."""
        self._calls.put(call)

    def tell(self, call: ProcessCall, reason: StopReason) -> None:
        """Tell the child that its job is cancelled, and why."""
        if (child := self._child) is not None:  # looked at once: the slot's thread may put it away meanwhile
            child.cancel(JobCancel(call.job.number, reason))

    def terminate(self) -> None:
        """Send SIGTERM to the child."""
        self._was_terminated = True
        if (child := self._child) is not None:
            child.terminate()

    def kill(self) -> None:
        """Kill the child and what it has started."""
        if (child := self._child) is not None:
            child.kill()

    def close(self) -> None:
        """End child and thread after the present call."""
        self._calls.put(None)

    # On the slot's thread.

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                outcome = self._outcome_of(call)
                if self._was_terminated:
                    self._close_child()
                self._tell_loop(self._on_outcome, call, outcome)
            self._close_child()
        finally:
            self._tell_loop(self.ended.set)

    def _outcome_of(self, call: ProcessCall) -> CallOutcome:
        """Never raises: a slot always answers."""
        try:
            child = self._idle_child()
            if call.cancelled:
                return Raised(_process_died("cancelled before it began"))
            return self._run(call, child)
        except NotStartedError as error:
            return Raised(error)
        except (EOFError, OSError):
            code = self._close_child()
            return Raised(_process_died(_ending(code)))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the failure of this call
            self._close_child()
            return Raised(error)

    def _run(self, call: ProcessCall, child: ChildConnection) -> CallOutcome:
        child.send(call.job)
        while True:
            message = child.receive()
            match message:
                case HeartbeatDetails(details):
                    call.on_heartbeat(details)
                case ChildLogRecord(record):
                    _write_log_record(record)
                case _:
                    return _outcome(message)

    def _idle_child(self) -> ChildConnection:
        if self._child is not None and (self._was_terminated or not self._child.is_idle()):
            self._close_child()
        if self._child is None:
            self._was_terminated = False
            self._child = ChildConnection.start()
        return self._child

    def _close_child(self) -> int | None:
        """End the child; return its exit code."""
        child, self._child = self._child, None
        if child is None:
            return None
        try:
            child.close()
        except Exception:
            logger.exception("a child process was not closed in order")
        return child.exit_code

    def _tell_loop(self, then: Callable[..., object], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is gone, nothing waits
            self._loop.call_soon_threadsafe(then, *arguments)

    def _on_outcome(self, call: ProcessCall, outcome: CallOutcome) -> None:
        if not call.future.done():
            call.future.set_result(outcome)
        self._on_free(self)


def _write_log_record(data: bytes) -> None:
    try:
        record: logging.LogRecord = unpickled(data)
        log = logging.getLogger(record.name)
        if log.isEnabledFor(record.levelno):
            log.handle(record)
    except BaseException:  # unpickling calls what users put into `extra`; no interrupt or cancel comes to this thread
        logger.exception("a log record of a child process was not written")


def _outcome(end: JobEnd) -> CallOutcome:
    match end:
        case ReturnedValue(data):
            try:
                return Returned(unpickled(data))
            except Exception as error:  # noqa: BLE001 - classes of the user may raise anything
                return Raised(error)
        case RaisedFailure(problem):
            return Raised(failure_of(Problem.decode(problem)))
        case RaisedError(problem, text):
            return Raised(ChildError(Problem.decode(problem), text))


def _process_died(how: str) -> ChildError:
    detail = f"ProcessDied: the process of the task function {how}"
    return ChildError(Problem(UNEXPECTED_ERROR, 500, detail, extensions={EXCEPTION: ["ProcessDied"]}), "")


def _ending(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was ended by signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"was ended by signal {-exit_code}"
