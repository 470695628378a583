"""A handler's calls of `TaskMonitor`: watch an attempt, forget a task, read the status of a task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from msgspec.structs import replace
from restate import Context, RestateDurableFuture, TerminalError, wait_completed

from kallback.protocol import Attempt, Codec, DecodeError, TaskId, TaskProgress
from kallback.protocol.values.bounded_reading import read_json
from kallback.protocol.values.codecs import MAX_NESTING
from kallback.sdk.errors import BAD_GATEWAY, NOT_FOUND, UNDECODABLE_PROGRESS, MonitorUnavailable, UnknownTask
from kallback.sdk.journal.awakeables import PendingAttempt
from kallback.sdk.journal.identity import AttemptTimes, datetime_of, milliseconds
from kallback.sdk.monitoring.decide import WatchMany, WatchRequest
from kallback.sdk.monitoring.unknown_service import call_known, send_known

Details = TypeVar("Details")
_ANYTHING: Final = msgspec.json.Decoder()
_PROGRESS: Final = msgspec.json.Decoder(TaskProgress)

PROGRESS_TIMEOUT: Final = timedelta(seconds=10)
"""How long a handler waits for the status of a task: `TaskMonitor` answers in milliseconds, or is not there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The status of a running task whose type has a start timeout or heartbeats.

    Attributes:
        attempt: the current one, from 1.
        dispatched: when it was sent.
        started: when a worker started it, by the worker's clock; None before that.
        heartbeat: its last heartbeat, by the worker's clock.
        raw_details: of the last heartbeat with details, of this attempt or an earlier one: JSON, empty for none.
        details_changed: when this attempt's details last became others, by the worker's clock; None if they never did.
            A task that hangs may still send heartbeats by itself; its details stay the same.
    """

    task_id: TaskId
    task_type: str
    attempt: Attempt
    dispatched: datetime
    started: datetime | None
    heartbeat: datetime | None
    raw_details: bytes
    details_changed: datetime | None = None

    @property
    def details(self) -> Any:
        """The worker's last details as plain values; None without details."""
        return read_json(_ANYTHING, self.raw_details) if self.raw_details else None

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


class MonitorCalls:
    """Calls `TaskMonitor`, which has another name in each environment."""

    def __init__(self, monitor: str) -> None:
        self._monitor: Final = monitor
        self._numbers: Final = WeakKeyDictionary[Context, int]()

    async def watch(self, ctx: Context, task_id: TaskId, request: WatchRequest) -> RestateDurableFuture[bytes]:
        """Have an attempt watched from before it is sent; the answer is the last heartbeat's details so far.

        Raises:
            UnknownMonitorError: Restate does not know the service.
        """
        return await self._call(ctx, "watch", task_id, msgspec.json.encode(request), f"attempt {request.attempt}")

    async def watch_many(self, ctx: Context, watches: dict[TaskId, WatchRequest]) -> RestateDurableFuture[bytes]:
        """Have the first attempts of many tasks watched, with one call.

        Raises:
            UnknownMonitorError: Restate does not know the service.
        """
        return await self._call(ctx, "watch_many", next(iter(watches)), msgspec.json.encode(WatchMany(watches)))

    def forget(self, ctx: Context, task_id: TaskId) -> None:
        """Have the task's state cleared, with a one-way call. Where Restate does not know the service there is none."""
        call = f"{self._monitor}/finish {task_id} {self._number(ctx)}"
        send_known(ctx, self._monitor, call, lambda: ctx.generic_send(self._monitor, "finish", b"", key=task_id))

    async def read_progress(self, ctx: Context, task_id: str, timeout: timedelta) -> Progress:  # noqa: ASYNC109 - a durable one
        """Read the status of a task.

        Raises:
            UnknownTask: the task is not watched.
            MonitorUnavailable: no answer within the timeout.
            UnknownMonitorError: Restate does not know the service.
        """
        limit = ctx.sleep(timeout, "deadline TaskMonitor/read")
        call = await self._call(ctx, "read", task_id, b"", f"{ctx.request().id} {self._number(ctx)}")
        completed, _ = await wait_completed(call, limit)
        if call not in completed:
            raise MonitorUnavailable(task_id, timeout)
        try:
            answer = await call
        except TerminalError as error:
            if error.status_code == NOT_FOUND:
                raise UnknownTask(task_id) from None
            raise
        return progress_of(read_json(_PROGRESS, answer, limit=MAX_NESTING + 1))

    async def _call(
        self, ctx: Context, handler: str, key: str, body: bytes, which: str = ""
    ) -> RestateDurableFuture[bytes]:
        name = f"{self._monitor}/{handler} {key} {which}"
        return await call_known(
            ctx, self._monitor, name, lambda: ctx.generic_call(self._monitor, handler, body, key=key)
        )

    def _number(self, ctx: Context) -> int:
        """Tells apart what a handler does again and again, in the order of its journal."""
        number = self._numbers[ctx] = self._numbers.get(ctx, 0) + 1
        return number


def watch_request(
    pending: PendingAttempt[Any], times: AttemptTimes, deadline_ms: int | None, details: bytes
) -> WatchRequest:
    """What `TaskMonitor` must know of an attempt; the details are those that the attempt before ended with."""
    request = WatchRequest(
        task_type=pending.task_type.name,
        attempt=pending.headers.attempt,
        awakeable_id=pending.awakeable_id,
        dispatched_ms=times.at_ms,
        start_by_ms=times.start_by_ms,
        limit_ms=milliseconds(pending.task_type.heartbeat_limit),
        deadline_ms=deadline_ms,
    )
    return replace(request, details=msgspec.Raw(details)) if details else request


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
        datetime_of(told.details_ms),
    )
