"""What a task function is told about its task, apart from the request."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, final

import msgspec

from kallback.protocol.errors import EncodeError, InvalidProgressError
from kallback.protocol.long_tasks.progress import checked_details
from kallback.protocol.tasks import TaskHeaders
from kallback.protocol.tokens import Attempt, TaskId
from kallback.protocol.values.bounded_reading import read_json
from kallback.protocol.values.codecs import Codec
from kallback.settings.logs import LogLine
from kallback.workers.logs import GuardedLogger
from kallback.workers.stop_reason import StopReason

_log: Final = logging.getLogger("kallback.workers.task")
_ANY: Final = Codec[Any](object)
_ANYTHING: Final = msgspec.json.Decoder()
_UNPRINTABLE: Final = re.compile(r"[^A-Za-z0-9._:-]")


@final
class TaskContext:
    """One attempt of one task, seen from the function that does it.

    Made by the worker; to test a function of yours, make one yourself.

    Attributes:
        task_id: stable over attempts: the idempotency key of what you do.
        attempt: counts the dispatches of this task, from 1.
        task_type: the task type's name.
        deadline: when the caller stops waiting; None when it waits without a limit.
        traceparent: W3C trace context, with `tracestate`: of this attempt's span if the worker has a tracer, otherwise
            of the caller if it traces.
        last_details: what the attempt before this one said in its last heartbeat with details: where to go on.
            None for a first attempt, or when nothing was said.
        log: a `logging.LoggerAdapter` whose lines name the task. Keyword arguments are fields of the line:
            `task.log.info("rendered", pages=3)`; those of `logging` (`exc_info`, `extra`) keep their meaning.
        is_traced: whether the worker has a tracer.
    """

    def __init__(  # noqa: PLR0913 - each is a member of its own
        self,
        task_id: str,
        *,
        attempt: int = 1,
        task_type: str = "",
        deadline: datetime | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        last_details: Any = None,
        on_heartbeat: Callable[[bytes], None] | None = None,
        clock: Callable[[], float] = time.time,
        is_traced: bool = False,
    ) -> None:
        """Describe an attempt.

        Args:
            task_id: names the task; the other members have defaults fit for a test.
            attempt: see the attributes, as for the next ones.
            task_type: the task type's name.
            deadline: when the caller stops waiting.
            traceparent: trace context.
            tracestate: trace context.
            last_details: details of the attempt before.
            on_heartbeat: is given the details of each heartbeat, as JSON; empty without details.
            clock: epoch seconds.
            is_traced: whether the trace context is of a span of this worker, which is to be the current one.
        """
        self.is_traced: Final = is_traced
        self.task_id: Final = TaskId(task_id)
        self.attempt: Final = Attempt(attempt)
        self.task_type: Final = task_type
        self.deadline: Final = deadline
        self.traceparent: Final = traceparent
        self.tracestate: Final = tracestate
        self.last_details: Final = last_details
        self.log: Final = TaskLog(task_type, self.task_id, self.attempt)
        self._on_heartbeat = on_heartbeat
        self._clock = clock
        self._stop_reason: StopReason | None = None

    def time_left(self) -> float | None:
        """Seconds until the deadline, 0 when it is past; None without one. Fits `asyncio.timeout`."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline.timestamp() - self._clock())

    def heartbeat(self, details: Any = None) -> None:
        """Tell how far the work is; from any thread, cheap, as often as you like.

        The worker sends the newest details, at most every half `heartbeat_every` of the task type; those in between are
        never sent. The next attempt finds them in `last_details`, and the caller can read them. A failure carries
        the newest ones itself. Best effort: while Kafka is unavailable, nothing waits and nothing fails. Heartbeats
        without details are sent by the worker itself.

        Args:
            details: a JSON value of at most 16 KiB; None keeps those that were said before.

        Raises:
            InvalidProgressError: no JSON, or too large.
        """
        encoded = encode_details(details)
        if self._on_heartbeat is not None:
            self._on_heartbeat(encoded)

    @property
    def cancelled(self) -> bool:
        """Whether to stop soon: the caller no longer waits, or this worker stops and its drain has ended.

        Whatever the function then returns is not published. An async function need not look: it gets
        `asyncio.CancelledError` at its next await. A plain function must look, because a thread cannot be stopped;
        one in a process should, because its process is ended `WorkerOptions.cancel_grace` seconds later.
        """
        return self._stop_reason is not None

    @property
    def stop_reason(self) -> StopReason | None:
        """Why to stop; None while `cancelled` is false.

        It is there before `cancelled` is true and before `asyncio.CancelledError` is raised, and does not change. A
        `CancelledError` without a reason does not come from the worker.

            except asyncio.CancelledError:
                if task.stop_reason is not StopReason.WORKER_STOPPING:  # otherwise the next attempt continues
                    await undo()
                raise
        """
        return self._stop_reason

    def cancel(self, reason: StopReason = StopReason.CANCELLED) -> None:
        """Set `cancelled` and `stop_reason`; the worker does, and a test of a function may. Any thread may call it.

        Args:
            reason: is kept if there is none yet.
        """
        self._stop_reason = self._stop_reason or reason

    def __repr__(self) -> str:
        return f"TaskContext({self.task_type} {self.task_id} attempt {self.attempt})"


class TaskLog(GuardedLogger):
    """Puts the task before each message, and into `extra` for formatters that write fields."""

    def __init__(self, task_type: str, task_id: TaskId, attempt: Attempt) -> None:
        super().__init__(_log, {"task_type": task_type, "task_id": task_id, "attempt": int(attempt)})
        label = f"{task_type}:{task_id}:{attempt}"  # ids come from headers: no line breaks, no format characters
        self.label: Final = _UNPRINTABLE.sub("?", label)

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add label and fields; what the caller gives in `extra` is kept."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        if isinstance(msg, LogLine):
            return LogLine(f"[{self.label}] {msg.event}", msg.fields), kwargs
        return f"[{self.label}] {msg}", kwargs


def deadline_of(deadline_ms: int | None) -> datetime | None:
    """The deadline of a task record; one beyond the calendar (year 9999) counts as none."""
    if deadline_ms is None:
        return None
    try:
        return datetime.fromtimestamp(deadline_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def context_of(
    headers: TaskHeaders,
    *,
    on_heartbeat: Callable[[bytes], None] | None,
    clock: Callable[[], float] = time.time,
    is_traced: bool = False,
) -> TaskContext:
    """What the function of a task record is told; arguments as those of `TaskContext`."""
    return TaskContext(
        headers.task_id,
        attempt=headers.attempt,
        task_type=headers.task_type,
        deadline=deadline_of(headers.deadline_ms),
        traceparent=headers.traceparent,
        tracestate=headers.tracestate,
        last_details=decode_details(headers.last_details),
        on_heartbeat=on_heartbeat,
        clock=clock,
        is_traced=is_traced,
    )


def encode_details(details: Any) -> bytes:
    """Details as JSON; empty for None.

    Raises:
        InvalidProgressError: no JSON, or more than 16 KiB of it; the sentence says what to send instead.
    """
    if details is None:
        return b""
    try:
        encoded = _ANY.encode(details)
    except EncodeError as error:
        raise InvalidProgressError(
            f"heartbeat details must be a JSON value: numbers, texts, lists, dicts, dataclasses ({error})"
        ) from None
    return checked_details(encoded)


def decode_details(details: bytes) -> Any:
    """Details as they were sent, None for none: an aid to the work, so what cannot be read counts as none."""
    try:
        return read_json(_ANYTHING, details) if details else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
