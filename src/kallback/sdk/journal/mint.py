"""The journaled step *mint*: what of a task is random or read from a clock, drawn once.

It is a step of its own, before the one that publishes: that one can run twice when the process dies between
Kafka's acknowledgement and the journal's, and both copies must be byte-identical.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Final

import msgspec
from restate import Context, RestateDurableFuture, RunOptions

from kallback.protocol import Attempt, Problem, TaskId, TaskType, task_id_of
from kallback.sdk.errors import BAD_REQUEST, INVALID_TIMEOUT, TaskNotSent
from kallback.sdk.journal.serdes import StepSerde

Clock = Callable[[], float]
RandomBytes = Callable[[int], bytes]

_RANDOM_BYTES: Final = 12
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]{1,512}", re.ASCII)


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""As a time-out: the one of the task type. (None means: wait for ever.)"""

Timeout = timedelta | None | Unset


class Dispatch(msgspec.Struct, frozen=True, omit_defaults=True):
    """When one attempt was sent, and what follows from that. Only for task types that limit their attempts.

    Attributes:
        at_ms: epoch milliseconds, as the others.
        deadline_ms: of this attempt, never after the task's; None when it may last for ever.
        start_by_ms: until when a worker must have started it; None for no matter when.
    """

    at_ms: int
    deadline_ms: int | None = None
    start_by_ms: int | None = None


class Minted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all attempts of one task share, and when the first one was sent.

    Attributes:
        deadline_ms: epoch milliseconds; None when the caller waits for ever.
        traceparent: W3C trace context, with `tracestate`, if the invocation carries one.
        first: of attempt 1, for task types that limit their attempts.
    """

    task_id: TaskId
    deadline_ms: int | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    first: Dispatch | None = None


class MintedMany(msgspec.Struct, frozen=True, omit_defaults=True):
    """What many tasks share that start together, and the id of each."""

    task_ids: list[TaskId]
    shared: Minted

    def each(self) -> list[Minted]:
        """One for each task."""
        return [msgspec.structs.replace(self.shared, task_id=task_id) for task_id in self.task_ids]


@dataclass(frozen=True, slots=True)
class Mint:
    """Draws what a task needs; the sources are given, so that tests decide them.

    Attributes:
        clock: seconds since the epoch.
        random_bytes: as many unguessable bytes as asked for.
    """

    clock: Clock
    random_bytes: RandomBytes

    def draw(
        self, ctx: Context, task_type: TaskType[Any, Any], timeout: timedelta | None
    ) -> RestateDurableFuture[Minted]:
        """Issue the step for one task."""

        async def mint() -> Minted:  # Restate runs a plain function in a thread, which costs more than this
            return self._minted(ctx, task_type, timeout)

        return ctx.run_typed(f"mint {task_type.name}", mint, RunOptions(serde=StepSerde[Minted](Minted)))

    def draw_many(
        self, ctx: Context, task_type: TaskType[Any, Any], timeout: timedelta | None, count: int
    ) -> RestateDurableFuture[MintedMany]:
        """Issue one step for many tasks."""

        async def mint() -> MintedMany:
            shared = self._minted(ctx, task_type, timeout)
            others = [task_id_of(self.random_bytes(_RANDOM_BYTES)) for _ in range(count - 1)]
            return MintedMany([shared.task_id, *others], shared)

        return ctx.run_typed(
            f"mint {count} {task_type.name}", mint, RunOptions(serde=StepSerde[MintedMany](MintedMany))
        )

    def _minted(self, ctx: Context, task_type: TaskType[Any, Any], timeout: timedelta | None) -> Minted:
        request = ctx.request()
        traceparent, tracestate = trace_context(request.attempt_headers, request.headers)
        now = self.clock()
        deadline_ms = None if timeout is None else int((now + timeout.total_seconds()) * 1000)
        return Minted(
            task_id=task_id_of(self.random_bytes(_RANDOM_BYTES)),
            deadline_ms=deadline_ms,
            traceparent=traceparent,
            tracestate=tracestate,
            first=dispatch_at(int(now * 1000), task_type, deadline_ms) if limits_attempts(task_type) else None,
        )


def limits_attempts(task_type: TaskType[Any, Any]) -> bool:
    """Whether something must be known of the time at which each attempt is sent."""
    return task_type.monitored or task_type.attempt_timeout is not None


def dispatch_at(at_ms: int, task_type: TaskType[Any, Any], task_deadline_ms: int | None) -> Dispatch:
    """An attempt that is sent now."""
    ends = [task_deadline_ms, _after(at_ms, task_type.attempt_timeout)]
    return Dispatch(
        at_ms,
        deadline_ms=min((end for end in ends if end is not None), default=None),
        start_by_ms=_after(at_ms, task_type.start_timeout),
    )


def dispatch_step(
    ctx: Context, clock: Clock, task_type: TaskType[Any, Any], minted: Minted, attempt: Attempt
) -> RestateDurableFuture[Dispatch]:
    """Issue the step that draws the times of a later attempt."""

    async def mint() -> Dispatch:
        return dispatch_at(int(clock() * 1000), task_type, minted.deadline_ms)

    return ctx.run_typed(
        f"mint {task_type.name} attempt {attempt}", mint, RunOptions(serde=StepSerde[Dispatch](Dispatch))
    )


def milliseconds(length: timedelta | None) -> int | None:
    """A length of time as it travels."""
    return None if length is None else int(length.total_seconds() * 1000)


def _after(at_ms: int, limit: timedelta | None) -> int | None:
    after = milliseconds(limit)
    return None if after is None else at_ms + after


def timeout_of(task_type: str, default: timedelta | None, given: Timeout) -> timedelta | None:
    """The time-out that holds for one task.

    Raises:
        TaskNotSent: it is not longer than 0.
    """
    timeout = default if isinstance(given, Unset) else given
    if timeout is not None and timeout <= timedelta(0):
        detail = f"the time-out of {task_type} is {timeout}: give one longer than 0, or None to wait for ever"
        raise TaskNotSent(Problem(INVALID_TIMEOUT, BAD_REQUEST, detail), task_type=task_type)
    return timeout


def trace_context(*sources: Mapping[str, str]) -> tuple[str | None, str | None]:
    """`traceparent` and `tracestate` of the first source that has a readable `traceparent`."""
    for headers in sources:
        traceparent = headers.get("traceparent", "")
        if _TRACEPARENT.fullmatch(traceparent):
            tracestate = headers.get("tracestate", "")
            return traceparent, tracestate if _TRACESTATE.fullmatch(tracestate) else None
    return None, None
