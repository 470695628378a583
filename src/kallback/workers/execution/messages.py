"""The messages between a worker and its child processes, sent pickled through pipes.

    worker ──Job──► child ──(ChildLogRecord | HeartbeatDetails)*, JobEnd──► worker      one pipe, one job at a time
    worker ──JobCancel──► child                                                         another pipe

Objects of the user travel as bytes inside a message: one that cannot be unpickled fails its job, not the conversation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kallback.workers.pickling import pickled
from kallback.workers.stop_reason import StopReason


@dataclass(frozen=True, slots=True)
class ContextParts:
    """What a `TaskContext` is made of in the child."""

    task_id: str
    attempt: int
    task_type: str
    deadline: datetime | None
    traceparent: str | None
    tracestate: str | None
    last_details: Any
    is_traced: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A function call.

    Attributes:
        number: counts the jobs of a worker; a cancel names it.
        call: function, request and whether it takes a context, pickled.
    """

    number: int
    call: bytes
    context: ContextParts


@dataclass(frozen=True, slots=True)
class JobCancel:
    """A job is cancelled.

    Attributes:
        number: of the job.
        reason: what the function is told.
    """

    number: int
    reason: StopReason


@dataclass(frozen=True, slots=True)
class ChildLogRecord:
    """A log record, pickled."""

    record: bytes


@dataclass(frozen=True, slots=True)
class HeartbeatDetails:
    """Heartbeat details, JSON."""

    details: bytes


@dataclass(frozen=True, slots=True)
class ReturnedValue:
    """The function returned this, pickled."""

    value: bytes


@dataclass(frozen=True, slots=True)
class RaisedFailure:
    """The function raised a `TaskFailure`; its problem object, JSON."""

    problem: bytes


@dataclass(frozen=True, slots=True)
class RaisedError:
    """The function raised something else; the problem object that describes it, JSON."""

    problem: bytes
    traceback: str


JobEnd = ReturnedValue | RaisedFailure | RaisedError
ChildMessage = ChildLogRecord | HeartbeatDetails | JobEnd


class LogRecordSender(logging.Handler):
    """Sends log records to the worker, which has the user's log configuration; a child has none."""

    def __init__(self, send: Callable[[ChildLogRecord], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, with its message and traceback made into text."""
        try:
            self._send(ChildLogRecord(_frozen(record)))
        except Exception:  # noqa: BLE001 - a line that cannot be formatted must not fail the function that logs it
            self.handleError(record)


def _frozen(record: logging.LogRecord) -> bytes:
    members = dict(record.__dict__)
    text = logging.Formatter().format(record)  # message, traceback and stack
    members |= {"msg": text, "message": text, "args": None, "exc_info": None, "exc_text": None, "stack_info": None}
    try:
        return pickled(logging.makeLogRecord(members))
    except Exception:  # noqa: BLE001 - what users put into `extra` need not be picklable
        known = logging.makeLogRecord({}).__dict__
        return pickled(logging.makeLogRecord({name: value for name, value in members.items() if name in known}))
