"""A pending task as a row, as facts, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from kallback.cli.formatting import counted, moment, plain, readable, redact, within
from kallback.durations import span
from kallback.operations import NOT_NEXT, InvocationStatus, PendingTask, TaskRecord
from kallback.protocol import OutcomeRecord, shorten

HEADINGS: Final = ("TASK", "TYPE", "STATE", "ATTEMPT", "AGE", "DEADLINE", "HANDLER", "INVOCATION")
_SHOWN: Final = 4_096
_LONGEST_CELL: Final = 120
"""Characters: keys of virtual objects have no limit, and one long one would spread all lines of a list."""
_NO_RECORD: Final = "none: it is an awakeable, which no worker does"
_WHO_ANSWERS: Final = (
    "who has the token or the link that the handler handed out; or an operator who has KALLBACK_KEYS: kallback tasks "
    "complete, fail, cancel or link"
)


def row_of(task: PendingTask, now_ms: int) -> tuple[str, ...]:
    """The cells of a task, under `HEADINGS`."""
    return (
        task.task_id,
        plain(task.task_type),
        task.state.value,
        str(task.attempt),
        span(max(0, now_ms - task.created_ms)),
        _remaining(task.deadline_ms, now_ms),
        within(plain(task.invocation.target), _LONGEST_CELL),
        task.invocation.id,
    )


_MEANINGS: Final = {
    "running": " (its handler works, or waits and is suspended later)",
    "suspended": " (its handler waits)",
}
"""Of words of Restate: a handler that waits is `running` as long as Restate keeps its connection open."""


def members_of(task: PendingTask) -> dict[str, Any]:
    """A task for scripts; times in epoch milliseconds."""
    progress, invocation, at = task.progress, task.invocation, task.position
    members: dict[str, Any] = {
        "task": task.task_id,
        "type": task.task_type,
        "state": task.state.value,
        "attempt": task.attempt,
        "created": task.created_ms,
        "deadline": task.deadline_ms,
        "next_attempt": task.next_attempt_ms,
        "topic": None if at is None else at.topic,
        "partition": None if at is None else at.partition,
        "offset": None if at is None else at.offset,
        "invocation": invocation.id,
        "target": redact(invocation.target),
        "status": invocation.status,
    }
    if progress is not None:
        members |= {
            "dispatched": progress.dispatched_ms,
            "started": progress.started_ms,
            "heartbeat": progress.heartbeat_ms,
            "details": redact(progress.details.decode()) or None,
            "details_changed": progress.details_ms,
        }
    return members


def record_members(record: TaskRecord) -> dict[str, Any]:
    """What a task's record adds to the members; the token is shortened."""
    return {
        "key": None if record.key is None else redact(record.key.decode(errors="replace")),
        "request": redact(record.request.decode(errors="replace")),
        "token": shorten(record.headers.token),
    }


def invocation_members(invocation: InvocationStatus) -> dict[str, Any]:
    """What Restate says of the waiting invocation."""
    return {
        "status": invocation.status,
        "failures": invocation.failures,
        "failure": None if invocation.last_failure is None else redact(invocation.last_failure),
        "next_retry": invocation.next_retry_at,
    }


def facts_of(task: PendingTask, now_ms: int) -> Iterator[tuple[str, str]]:
    """A task for people."""
    yield "task", task.task_id
    yield "type", plain(task.task_type)
    yield "state", task.state.value
    yield "attempt", str(task.attempt)
    if task.next_attempt_ms is not None:
        due = _due(task.next_attempt_ms, now_ms)
        yield "", f"attempt {task.attempt} has failed, attempt {task.attempt + 1} is sent {due}"
    yield "created", _ago(task.created_ms, now_ms)
    yield (
        "deadline",
        "none" if task.deadline_ms is None else f"{moment(task.deadline_ms)} ({_remaining(task.deadline_ms, now_ms)})",
    )
    if task.progress is not None:
        progress = task.progress
        yield "dispatched", _ago(progress.dispatched_ms, now_ms)
        yield "started", "not yet" if progress.started_ms is None else _ago(progress.started_ms, now_ms)
        yield "heartbeat", "none yet" if progress.heartbeat_ms is None else _ago(progress.heartbeat_ms, now_ms)
        yield "details", readable(progress.details, longest=_SHOWN) if progress.details else "none"
        if progress.unchanged_since_ms is not None:
            yield "unchanged", f"since {_ago(progress.unchanged_since_ms, now_ms)}"
    yield "handler", within(plain(task.invocation.target), _SHOWN)
    yield "invocation", task.invocation.id
    yield "record", _NO_RECORD if task.position is None else plain(str(task.position))
    if task.signal is not None:
        yield "answered by", _WHO_ANSWERS


def record_facts(record: TaskRecord) -> Iterator[tuple[str, str]]:
    """A task's record for people; the token is shortened."""
    yield "key", "none" if record.key is None else readable(record.key, longest=_SHOWN)
    yield "token", shorten(record.headers.token)
    yield "request", readable(record.request, longest=_SHOWN, lines=True)


def invocation_facts(invocation: InvocationStatus, signal: int | None = None) -> Iterator[tuple[str, str]]:
    """What Restate says of the waiting invocation, for people; with the number of the awakeable, if it is one."""
    yield "", f"Restate says: {invocation.status}{_MEANINGS.get(invocation.status, '')}"
    if signal is not None and invocation.waits_for(signal) is False:
        yield "", NOT_NEXT
    if invocation.failures:
        planned = f"; Restate starts it again at {invocation.next_retry_at}" if invocation.next_retry_at else ""
        yield "", f"the handler has failed {counted(invocation.failures, 'time')} since it last got on{planned}"
    if invocation.last_failure:
        since = f" (the last one; it runs since {invocation.last_start_at})" if invocation.status == "running" else ""
        yield "failure", plain(invocation.failure_line) + since


def outcome_facts(outcomes: Sequence[OutcomeRecord]) -> Iterator[tuple[str, str]]:
    """What became of the results so far, and what was done by hand, for people."""
    if not outcomes:
        yield "outcomes", "none: no result has come, or bridges run without --outcomes"
    for outcome in outcomes:
        failure = None if outcome.by is None else outcome.failure
        why = (outcome.deed or outcome.result, failure, outcome.reason, outcome.why)
        said = ", ".join(plain(text) for text in why if text)
        attempt = "" if outcome.attempt is None else f" (attempt {outcome.attempt})"
        yield "outcome", f"{moment(outcome.at_ms)} {outcome.outcome}{attempt}" + (f": {said}" if said else "")


def _remaining(deadline_ms: int | None, now_ms: int) -> str:
    if deadline_ms is None:
        return "none"
    return f"in {span(deadline_ms - now_ms)}" if deadline_ms >= now_ms else f"{span(now_ms - deadline_ms)} ago"


def _due(at_ms: int, now_ms: int) -> str:
    return "now" if at_ms <= now_ms else f"{moment(at_ms)} (in {span(at_ms - now_ms)})"


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{moment(at_ms)} ({span(max(0, now_ms - at_ms))} ago)"
