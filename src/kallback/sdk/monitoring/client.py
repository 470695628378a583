"""A handler's calls of `TaskMonitor`: watch an attempt, forget a task, read the status of a task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from restate import Context, RestateDurableFuture, TerminalError

from kallback.protocol import MONITOR, Attempt, Codec, DecodeError, TaskId, TaskProgress
from kallback.sdk.errors import BAD_GATEWAY, NOT_FOUND, UNDECODABLE_PROGRESS, UnknownTask
from kallback.sdk.journal.awakeables import PendingAttempt
from kallback.sdk.journal.identity import AttemptTimes, datetime_of, milliseconds
from kallback.sdk.monitoring.decide import WatchRequest

Details = TypeVar("Details")


@dataclass(frozen=True, slots=True)
class Progress:
    """The status of a running task whose type has a start timeout or heartbeats.

    Attributes:
        attempt: the current one, from 1.
        dispatched: when it was sent.
        started: when a worker started it, by the worker's clock; None before that.
        heartbeat: its last heartbeat, by the worker's clock.
        raw_details: of the last heartbeat with details, of this attempt or an earlier one: JSON, empty for none.
    """

    task_id: TaskId
    task_type: str
    attempt: Attempt
    dispatched: datetime
    started: datetime | None
    heartbeat: datetime | None
    raw_details: bytes

    @property
    def details(self) -> Any:
        """The worker's last details as plain values; None without details."""
        return msgspec.json.decode(self.raw_details) if self.raw_details else None

    def details_as(self, declared: type[Details]) -> Details:
        """The worker's last details as this type.

        Raises:
            TerminalError: the details do not fit the type (code 502).
        """
        try:
            return Codec(declared).decode(self.raw_details or b"null")
        except DecodeError as error:
            metadata = {"kallback-problem": UNDECODABLE_PROGRESS}
            raise TerminalError(f"the heartbeat details {error}", BAD_GATEWAY, metadata) from None


def watch(
    ctx: Context, pending: PendingAttempt[Any], times: AttemptTimes, deadline_ms: int | None
) -> RestateDurableFuture[bytes]:
    """Have an attempt watched from before it is sent; the answer is the last heartbeat's details so far."""
    request = WatchRequest(
        task_type=pending.task_type.name,
        attempt=pending.headers.attempt,
        awakeable_id=pending.awakeable_id,
        dispatched_ms=times.at_ms,
        start_by_ms=times.start_by_ms,
        limit_ms=milliseconds(pending.task_type.heartbeat_limit),
        deadline_ms=deadline_ms,
    )
    return ctx.generic_call(MONITOR, "watch", msgspec.json.encode(request), key=pending.headers.task_id)


def forget(ctx: Context, task_id: TaskId) -> None:
    """Have the task's state cleared, with a one-way call."""
    ctx.generic_send(MONITOR, "finish", b"", key=task_id)


async def read_progress(ctx: Context, task_id: str) -> Progress:
    """Read the status of a task.

    Raises:
        UnknownTask: the task is not watched.
    """
    try:
        answer = await ctx.generic_call(MONITOR, "read", b"", key=task_id)
    except TerminalError as error:
        if error.status_code == NOT_FOUND:
            raise UnknownTask(task_id) from None
        raise
    return progress_of(msgspec.json.decode(answer, type=TaskProgress))


def progress_of(told: TaskProgress) -> Progress:
    """The status with times as `datetime`."""
    dispatched = datetime_of(told.dispatched_ms)
    if dispatched is None:
        raise AssertionError("dispatched_ms is never None")
    return Progress(
        told.task_id,
        told.task_type,
        told.attempt,
        dispatched,
        datetime_of(told.started_ms),
        datetime_of(told.heartbeat_ms),
        bytes(told.details),
    )
