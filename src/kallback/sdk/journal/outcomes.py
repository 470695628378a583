"""The errors with which tasks end here, not at a worker: each with its sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kallback.protocol import ATTEMPT_TIMED_OUT, Attempt, Problem, TaskId
from kallback.sdk.errors import (
    CANCELLED,
    GATEWAY_TIMEOUT,
    GONE,
    TIMED_OUT,
    TaskCancelled,
    TaskError,
    TaskFailed,
    TaskNotSent,
    TaskTimedOut,
)
from kallback.sdk.journal.identity import TaskIdentity


def timed_out(name: str, identity: TaskIdentity, attempt: Attempt, last: TaskError | None = None) -> TaskTimedOut:
    """The deadline passed; `last` is the failure of the last attempt, if one failed."""
    deadline = moment(identity.deadline_ms)
    when = "none" if deadline is None else deadline.isoformat(timespec="milliseconds")
    detail = f"no result of {name} (task {identity.task_id}) before its deadline, {when}"
    if last is not None:
        detail = f"{detail}; attempt {last.attempt} failed: {last.message}"
    problem = Problem(TIMED_OUT, GATEWAY_TIMEOUT, detail)
    return TaskTimedOut(problem, task_type=name, task_id=identity.task_id, attempt=attempt)


def too_slow(name: str, task_id: TaskId, attempt: Attempt, limit: timedelta | None) -> TaskFailed:
    """An attempt's own timeout passed."""
    detail = f"attempt {attempt} of {name} (task {task_id}) brought no result within {limit}"
    problem = Problem(ATTEMPT_TIMED_OUT, GATEWAY_TIMEOUT, detail, retryable=True)
    return TaskFailed(problem, task_type=name, task_id=task_id, attempt=attempt)


def cancelled(name: str, task_id: TaskId, attempt: Attempt) -> TaskCancelled:
    """The handler itself cancelled the task."""
    problem = Problem(CANCELLED, GONE, f"task {task_id} of {name} was cancelled by its own handler")
    return TaskCancelled(problem, task_type=name, task_id=task_id, attempt=attempt)


def not_sent(name: str, task_id: TaskId, attempt: Attempt, problem: Problem) -> TaskNotSent:
    """Kafka does not have the task."""
    return TaskNotSent(problem, task_type=name, task_id=task_id, attempt=attempt)


def moment(deadline_ms: int | None) -> datetime | None:
    """A deadline as people read it."""
    return None if deadline_ms is None else datetime.fromtimestamp(deadline_ms / 1000, UTC)
