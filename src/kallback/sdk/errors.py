"""The errors of tasks without a result. Each is terminal: running the handler again would not help.

TerminalError (restate)
├── TaskError                 a task has no result
│   ├── TaskFailed            the worker reported a failure; `.problem` describes it
│   │   └── InvalidResult     the result does not have the declared type: repair the worker or the type
│   │       └── StaleResult   the result belongs to another attempt (only `handle.future` raises it)
│   ├── TaskTimedOut          no result before the deadline
│   ├── TaskNotSent           the task was not published
│   └── TaskCancelled         this handler cancelled the task itself
├── UnknownTask               no task with this id is watched
├── MonitorUnavailable        `TaskMonitor` did not answer in time
└── CompletionRefused         an awakeable id, token or value that cannot complete an awakeable

Three `except` clauses cover every task without a value: `TaskFailed`, `TaskTimedOut`, `TaskNotSent`. The *invocation's*
cancellation is none of these: it stays Restate's own `TerminalError` 409.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Self, cast

from restate import TerminalError

from kallback.documentation import error_entry
from kallback.protocol import ATTEMPT_TIMED_OUT, Attempt, Problem, TaskId
from kallback.protocol.problems import OWN_TYPES
from kallback.protocol.tokens import FIRST_ATTEMPT

TIMED_OUT: Final = "urn:kallback:timed-out"
CANCELLED: Final = "urn:kallback:cancelled"
UNDECODABLE_RESULT: Final = "urn:kallback:undecodable-result"
NOT_AN_ENVELOPE: Final = "urn:kallback:not-an-envelope"
STALE_RESULT: Final = "urn:kallback:stale-result"
UNDECODABLE_PROGRESS: Final = "urn:kallback:undecodable-progress"
UNENCODABLE_REQUEST: Final = "urn:kallback:unencodable-request"
INVALID_TIMEOUT: Final = "urn:kallback:invalid-timeout"
INVALID_ARGUMENT: Final = "urn:kallback:invalid-argument"
KAFKA_UNAVAILABLE: Final = "urn:kallback:kafka-unavailable"
NOT_WATCHED: Final = "urn:kallback:not-watched"
NOT_READ: Final = "urn:kallback:results-not-read"
MISSING_TOPIC: Final = "urn:kallback:missing-topic"
ACCESS_DENIED: Final = "urn:kallback:access-denied"
RECORD_TOO_LARGE: Final = "urn:kallback:record-too-large"
MISCONFIGURED: Final = "urn:kallback:misconfigured"

BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
GONE: Final = 410
TOO_LARGE: Final = 413
INTERNAL: Final = 500
BAD_GATEWAY: Final = 502
UNAVAILABLE: Final = 503
GATEWAY_TIMEOUT: Final = 504


class TaskError(TerminalError):
    """A task has no result.

    A caller in another service gets Restate's plain `TerminalError` with the same code and message, and with
    `metadata` `kallback-problem` (the problem's type), `kallback-type` (the task type) and `kallback-task-id`.

    Attributes:
        problem: the complete problem object; `.problem.extensions` has the worker's other members.
        task_type: name of the task type.
        attempt: the last one; None if none was sent.
    """

    def __init__(
        self, problem: Problem, *, task_type: str, task_id: TaskId | None = None, attempt: Attempt | None = None
    ) -> None:
        metadata = {"kallback-problem": problem.type, "kallback-type": task_type}
        if task_id is not None:
            metadata["kallback-task-id"] = task_id
        super().__init__(problem.detail or problem.title or problem.type, problem.status, metadata)
        self.problem: Final = problem
        self.task_type: Final = task_type
        self.attempt: Final = attempt
        self._task_id: Final = task_id
        if self.help is not None:
            self.add_note(f"help: {self.help}")

    @property
    def help(self) -> str | None:
        """Address of its entry in the documentation; None for a worker's own type. Tracebacks show it."""
        return error_entry(self.problem.type) if self.problem.type.startswith(OWN_TYPES) else None

    @property
    def task_id(self) -> TaskId | None:
        """The task, as `handle.task_id` has it; None if it failed before it had an id, as only `TaskNotSent` may."""
        return self._task_id

    @property
    def type(self) -> str:
        """The type of failure, to branch on: the worker's own, or `urn:kallback:*`."""
        return self.problem.type

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        """Exceptions are pickled by their text alone unless they say how they are built."""
        again = functools.partial(type(self), task_type=self.task_type, task_id=self.task_id, attempt=self.attempt)
        return again, (self.problem,)


class _SentTaskError(TaskError):
    """One of a task that has an id."""

    def __init__(self, problem: Problem, *, task_type: str, task_id: TaskId, attempt: Attempt | None = None) -> None:
        super().__init__(problem, task_type=task_type, task_id=task_id, attempt=attempt)

    @property
    def task_id(self) -> TaskId:
        """The task, as `handle.task_id` has it."""
        return cast("TaskId", self._task_id)  # given at the start


class TaskFailed(_SentTaskError):  # noqa: N818 - the outcome of a task, in the terms of the wire
    """The worker reported a failure: `status_code` and `message` are its problem's `status` and `detail`.

    With a retry policy this is the failure of the last attempt, `error.attempt`. An attempt that took too long, was not
    started in time, or was lost (`urn:kallback:attempt-timed-out`, `not-started`, `heartbeat-lost`) also ends with
    this error when no other attempt follows.
    """


class InvalidResult(TaskFailed):
    """The result does not have the declared type (code 502)."""


class StaleResult(InvalidResult):
    """A result of another attempt or of an earlier run completed the awakeable (code 502).

    `handle.result()` never raises it: it publishes the next attempt.
    """


class TaskTimedOut(_SentTaskError):  # noqa: N818 - see TaskFailed
    """No result came before the deadline (code 504); the workers were told to stop, if Kafka was available."""


class TaskNotSent(TaskError):  # noqa: N818 - see TaskFailed
    """The task was not published; the sentence says what to do.

    Code 503: no broker acknowledged it before the deadline (the record may have been written nevertheless; workers
    skip it, because its deadline has passed). 504: `TaskMonitor` did not answer before the deadline. 413: the record is
    too large. 400: an argument has the wrong type, or the request does not fit its declared type. 500: a setting is
    wrong, or a topic or a permission was missing for the setup timeout (a minute by default).
    """


class TaskCancelled(_SentTaskError):  # noqa: N818 - see TaskFailed
    """`handle.cancel()` was called before (code 410)."""


class UnknownTask(TerminalError):  # noqa: N818 - see TaskFailed
    """No task with this id is watched (code 404): it has ended, or its type has no start timeout and no heartbeats."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"no task {task_id} is watched: it has ended, or its type has neither start_timeout nor heartbeat_every",
            NOT_FOUND,
        )
        self.task_id: Final = task_id

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """See `TaskError.__reduce__`."""
        return type(self), (self.task_id,)


class MonitorUnavailable(TerminalError):  # noqa: N818 - see TaskFailed
    """`TaskMonitor` did not answer in time (code 504): it is not bound, not registered, or its deployment is down."""

    def __init__(self, task_id: str, timeout: timedelta) -> None:
        super().__init__(
            f"TaskMonitor did not tell the status of task {task_id} within {timeout.total_seconds():g} s: serve "
            "your services with callbacks.app([...]), register them, and check that their deployment runs",
            GATEWAY_TIMEOUT,
        )
        self.task_id: Final = task_id
        self.timeout: Final = timeout

    def __reduce__(self) -> tuple[type[Self], tuple[str, timedelta]]:
        """See `TaskError.__reduce__`."""
        return type(self), (self.task_id, self.timeout)


class CompletionRefused(TerminalError):  # noqa: N818 - see TaskFailed
    """This cannot complete an awakeable (code 400): the id, the token or the value is invalid.

    Attributes:
        reason: a word for metrics: a member of `kallback.protocol.Unverified`, or `unencodable-value`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail, BAD_REQUEST, {"kallback-reason": reason})
        self.reason: Final = reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """See `TaskError.__reduce__`."""
        return type(self), (self.reason, self.message)


def timed_out(
    name: str, task_id: TaskId, attempt: Attempt, deadline: datetime | None, last: TaskError | None = None
) -> TaskTimedOut:
    """The error of a task whose deadline passed; `last` is the failure of the last failed attempt."""
    when = "none" if deadline is None else deadline.isoformat(timespec="milliseconds")
    current = f"task {task_id}" if attempt == FIRST_ATTEMPT else f"attempt {attempt} of task {task_id}"
    detail = f"no result of {name} ({current}) before its deadline, {when}"
    if last is not None:
        detail = f"{detail}; attempt {last.attempt} failed: {last.message}"
    problem = Problem(TIMED_OUT, GATEWAY_TIMEOUT, detail)
    return TaskTimedOut(problem, task_type=name, task_id=task_id, attempt=attempt)


def attempt_timed_out(name: str, task_id: TaskId, attempt: Attempt, limit: timedelta | None) -> TaskFailed:
    """The error of an attempt whose own timeout passed."""
    detail = f"attempt {attempt} of {name} (task {task_id}) brought no result within {limit}"
    problem = Problem(ATTEMPT_TIMED_OUT, GATEWAY_TIMEOUT, detail, retryable=True)
    return TaskFailed(problem, task_type=name, task_id=task_id, attempt=attempt)


def not_retried(error: TaskFailed) -> TaskFailed:
    """The error of a lost attempt whose type has no retry policy: it says how another attempt would have followed."""
    advice = "no other attempt follows: give its TaskType a policy (retry=RetryPolicy())"
    detail = f"{error.problem.detail}; {advice}" if error.problem.detail else advice
    problem = replace(error.problem, detail=detail)
    return TaskFailed(problem, task_type=error.task_type, task_id=error.task_id, attempt=error.attempt)


def cancelled_by_handler(name: str, task_id: TaskId, attempt: Attempt) -> TaskCancelled:
    """The error of a task that its own handler cancelled."""
    problem = Problem(CANCELLED, GONE, f"task {task_id} of {name} was cancelled by its own handler")
    return TaskCancelled(problem, task_type=name, task_id=task_id, attempt=attempt)
