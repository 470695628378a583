"""Told of what happens to tasks: counts it, and makes spans of it if there is a tracer.

Handlers pass the same place again in a replay; what they tell here then has no effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from restate import Context
from restate.server_context import ServerInvocationContext

from kallback.lifecycle import LogThrottle
from kallback.protocol import Attempt, TaskId
from kallback.sdk.errors import InvalidResult, StaleResult, TaskCancelled, TaskError, TaskNotSent, TaskTimedOut
from kallback.sdk.observability.counts import AttemptEnd, SdkCounts, TaskEnd
from kallback.settings import NamedLog

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from kallback.sdk.observability.spans import SdkSpans, TraceHeaders

_logger: Final = logging.getLogger(__name__)


class ObservedIdentity(Protocol):
    """What all attempts of a task share."""

    @property
    def task_id(self) -> TaskId:
        """Of the task."""
        ...

    @property
    def traceparent(self) -> str | None:
        """Which the record carries."""
        ...

    @property
    def tracestate(self) -> str | None:
        """Which the record carries."""
        ...

    @property
    def created_ms(self) -> int | None:
        """Epoch milliseconds; None in journals of earlier versions."""
        ...


class TaskObserver:
    """Observes the tasks of one `Callbacks`.

    Args:
        counts: what is exported as metrics.
        clock: epoch seconds.
        spans: None without a tracer.
    """

    def __init__(self, counts: SdkCounts, clock: Callable[[], float], spans: SdkSpans | None) -> None:
        self.counts: Final = counts
        self._clock: Final = clock
        self._spans: Final = spans
        self._log: Final = LogThrottle(NamedLog(_logger))

    def created(self, task_type: str, task_id: TaskId, count: int, parent: TraceHeaders) -> TraceHeaders:
        """A journaled step creates tasks; returns the trace context that their records carry."""
        return parent if self._spans is None else self._spans.created(task_type, task_id, count, parent)

    def sent(
        self, task_type: str, first: ObservedIdentity, seconds: float, acknowledged: int, failures: list[str]
    ) -> None:
        """A journaled step has sent attempts in so many seconds."""
        self.counts.sent(task_type, acknowledged, len(failures))
        if self._spans is not None:
            error = failures[0] if failures else None
            self._spans.sent(task_type, first.task_id, (first.traceparent, first.tracestate), seconds, error)

    def attempt_ended(self, ctx: Context, task_type: str, task_id: TaskId, attempt: Attempt, end: AttemptEnd) -> None:
        """An attempt has no result that counts."""
        if not _is_replayed(ctx):
            self.counts.attempt_ended(task_type, task_id, attempt, end)

    def ended(self, ctx: Context, task_type: str, identity: ObservedIdentity, error: TaskError | None) -> None:
        """A handler got the outcome of a task; no error means a value."""
        if _is_replayed(ctx):
            return
        end, created_ms = _end_of(error), identity.created_ms
        seconds = None if created_ms is None else self._clock() - created_ms / 1000
        is_first = self.counts.task_ended(task_type, identity.task_id, end, seconds)
        if is_first and end is TaskEnd.INVALID_RESULT and error is not None:
            self._warn(error)
        if is_first and self._spans is not None and created_ms is not None:
            parent = (identity.traceparent, identity.tracestate)
            self._spans.ended(task_type, identity.task_id, parent, created_ms, end)

    def awakeable_ended(self, ctx: Context, error: InvalidResult) -> None:
        """A handler got an answer to an awakeable that does not fit."""
        if not _is_replayed(ctx) and not isinstance(error, StaleResult):
            self._warn(error)

    def _warn(self, error: TaskError) -> None:
        """Nothing but the handler knows it: for bridge and outcome record the result was delivered."""
        self._log.warning(
            "a delivered result does not fit its type: the handler gets InvalidResult",
            kind=f"invalid-result {error.task_type}",
            task_type=error.task_type,
            task_id=error.task_id,
            attempt=error.attempt,
            detail=error.problem.detail,
        )


def observer_of(clock: Callable[[], float], provider: TracerProvider | None) -> TaskObserver:
    """The observer of one `Callbacks`; OpenTelemetry is imported only with a provider."""
    if provider is None:
        return TaskObserver(SdkCounts(), clock, None)
    from kallback.sdk.observability.spans import SdkSpans  # noqa: PLC0415 - see above

    return TaskObserver(SdkCounts(), clock, SdkSpans(provider))


def _is_replayed(ctx: Context) -> bool:
    return isinstance(ctx, ServerInvocationContext) and ctx.vm.is_replaying()


def _end_of(error: TaskError | None) -> TaskEnd:
    match error:
        case None:
            return TaskEnd.COMPLETED
        case TaskTimedOut():
            return TaskEnd.TIMED_OUT
        case TaskNotSent():
            return TaskEnd.NOT_SENT
        case TaskCancelled():
            return TaskEnd.CANCELLED
        case InvalidResult() if not isinstance(error, StaleResult):
            return TaskEnd.INVALID_RESULT
        case _:
            return TaskEnd.FAILED
