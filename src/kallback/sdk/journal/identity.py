"""The journaled step *create task*: draws the task id, the deadline and the trace context once.

It is a step of its own, before the step that publishes. The publishing step runs twice when the process dies between
Kafka's acknowledgement and the journal's, and both records must be byte-identical.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final

import msgspec
from restate import Context, RestateDurableFuture, RunOptions
from restate.serde import Serde

from kallback.protocol import Attempt, Keyring, Problem, TaskId, TaskType, task_id_of
from kallback.protocol.tasktypes import LONGEST_TIMEOUT
from kallback.sdk.arguments import check_timeout
from kallback.sdk.errors import BAD_REQUEST, INVALID_TIMEOUT, TaskNotSent
from kallback.sdk.journal.serdes import StepSerde
from kallback.sdk.observability.observer import TaskObserver

Clock = Callable[[], float]
RandomBytes = Callable[[int], bytes]

_RANDOM_BYTES: Final = 12
_LAST_YEAR: Final = datetime(9999, 1, 1, tzinfo=UTC)
_FIRST_TURNS: Final = 5040  # divisible by many numbers of partitions: none is the first of more processes than others
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]{1,512}", re.ASCII)


def _turns() -> Iterator[int]:
    return itertools.count(secrets.randbelow(_FIRST_TURNS))


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""As a timeout: use the one of the task type. (None means: wait without a deadline.)"""

Timeout = timedelta | None | Unset


class AttemptTimes(msgspec.Struct, frozen=True, omit_defaults=True):
    """When one attempt was sent, and the limits that follow from it. Only for task types that limit their attempts.

    Attributes:
        at_ms: epoch milliseconds, as all times here.
        deadline_ms: of this attempt, never after the task's; None for no deadline.
        start_by_ms: a worker must start the attempt before this time; None for no limit.
    """

    at_ms: int
    deadline_ms: int | None = None
    start_by_ms: int | None = None


class TaskIdentity(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all attempts of one task share, and when the first one was sent.

    Attributes:
        deadline_ms: epoch milliseconds; None when the caller waits without a deadline.
        traceparent: W3C trace context, with `tracestate`, if the invocation carries one.
        first: of attempt 1, for task types that limit their attempts.
        cancel_key: id of the signing key from which the secrets of cancels are derived. A replay needs the same
            one, although another key may sign by then. None in journals of earlier versions: cancels need no secret.
        turn: spreads the records of tasks without a key over the partitions. It is journaled, so that a record that is
            published twice goes to one partition.
        created_ms: epoch milliseconds, for metrics and spans. None in journals of earlier versions.
        names_pauses: whether the timers between attempts are named after the task, so that tools know whose they are.
            Not in journals of earlier versions: a replay needs the same names.
    """

    task_id: TaskId
    deadline_ms: int | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    first: AttemptTimes | None = None
    cancel_key: str | None = None
    turn: int | None = None
    created_ms: int | None = None
    names_pauses: bool = False

    @property
    def deadline(self) -> datetime | None:
        """The task's deadline; None without one."""
        return datetime_of(self.deadline_ms)


class TaskIdentities(msgspec.Struct, frozen=True, omit_defaults=True):
    """The task ids of tasks that start together, and what these tasks share."""

    task_ids: list[TaskId]
    shared: TaskIdentity

    def each(self) -> list[TaskIdentity]:
        """One identity for each task, with consecutive turns."""
        first = self.shared.turn
        return [
            msgspec.structs.replace(self.shared, task_id=task_id, turn=None if first is None else first + index)
            for index, task_id in enumerate(self.task_ids)
        ]


_IDENTITY_SERDE: Final = StepSerde[TaskIdentity](TaskIdentity)


@dataclass(frozen=True, slots=True)
class IdentitySource:
    """Creates task identities in journaled steps. Clock and randomness are injected for tests.

    Attributes:
        clock: seconds since the epoch.
        random_bytes: returns the requested number of unguessable bytes.
        keyring: its signing key of now is the one from which the secrets of cancels are derived.
        observer: is told of each creation, and may continue the trace.
        turns: counts the tasks of this process. It begins anywhere, so that processes do not keep step.
    """

    clock: Clock
    random_bytes: RandomBytes
    keyring: Keyring
    observer: TaskObserver
    turns: Iterator[int] = field(default_factory=_turns)

    def create(
        self,
        ctx: Context,
        task_type: TaskType[Any, Any],
        timeout: timedelta | None,
        serde: Serde[TaskIdentity] = _IDENTITY_SERDE,
    ) -> RestateDurableFuture[TaskIdentity]:
        """Issue the step for one task."""

        async def create() -> (
            TaskIdentity
        ):  # a coroutine function: Restate runs a plain function in a thread, which costs more
            return self._identity(ctx, task_type, timeout)

        return ctx.run_typed(f"create task {task_type.name}", create, RunOptions(serde=serde))

    def create_many(
        self, ctx: Context, task_type: TaskType[Any, Any], timeout: timedelta | None, count: int
    ) -> RestateDurableFuture[TaskIdentities]:
        """Issue one step for many tasks."""

        async def create() -> TaskIdentities:
            shared = self._identity(ctx, task_type, timeout, count)
            for _ in range(count - 1):
                next(self.turns)
            others = [task_id_of(self.random_bytes(_RANDOM_BYTES)) for _ in range(count - 1)]
            return TaskIdentities([shared.task_id, *others], shared)

        options = RunOptions(serde=StepSerde[TaskIdentities](TaskIdentities))
        return ctx.run_typed(f"create {count} tasks {task_type.name}", create, options)

    def _identity(
        self, ctx: Context, task_type: TaskType[Any, Any], timeout: timedelta | None, count: int = 1
    ) -> TaskIdentity:
        request, task_id = ctx.request(), task_id_of(self.random_bytes(_RANDOM_BYTES))
        parent = trace_context(request.attempt_headers, request.headers)
        traceparent, tracestate = self.observer.created(task_type.name, task_id, count, parent)
        now = self.clock()
        deadline_ms = None if timeout is None else int((now + timeout.total_seconds()) * 1000)
        return TaskIdentity(
            task_id=task_id,
            deadline_ms=deadline_ms,
            traceparent=traceparent,
            tracestate=tracestate,
            first=attempt_times_at(int(now * 1000), task_type, deadline_ms) if limits_attempts(task_type) else None,
            cancel_key=self.keyring.key_ids[0],
            turn=next(self.turns),
            created_ms=int(now * 1000),
            names_pauses=True,
        )


def limits_attempts(task_type: TaskType[Any, Any]) -> bool:
    """Whether the limits of an attempt depend on the time at which it is sent."""
    return task_type.monitored or task_type.attempt_timeout is not None


def attempt_times_at(at_ms: int, task_type: TaskType[Any, Any], task_deadline_ms: int | None) -> AttemptTimes:
    """The limits of an attempt that is sent at this time."""
    ends = [task_deadline_ms, _after(at_ms, task_type.attempt_timeout)]
    return AttemptTimes(
        at_ms,
        deadline_ms=min((end for end in ends if end is not None), default=None),
        start_by_ms=_after(at_ms, task_type.start_timeout),
    )


def attempt_times_step(
    ctx: Context, clock: Clock, task_type: TaskType[Any, Any], identity: TaskIdentity, attempt: Attempt
) -> RestateDurableFuture[AttemptTimes]:
    """Issue the step that draws the times of a later attempt."""

    async def create() -> AttemptTimes:
        return attempt_times_at(int(clock() * 1000), task_type, identity.deadline_ms)

    return ctx.run_typed(
        f"create task {task_type.name} attempt {attempt}",
        create,
        RunOptions(serde=StepSerde[AttemptTimes](AttemptTimes)),
    )


def datetime_of(time_ms: int | None) -> datetime | None:
    """Epoch milliseconds as a time in UTC; one beyond the calendar, which a worker may tell, is in its last year."""
    if time_ms is None:
        return None
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return _LAST_YEAR


def milliseconds(length: timedelta | None) -> int | None:
    """A duration as it travels."""
    return None if length is None else int(length.total_seconds() * 1000)


def _after(at_ms: int, limit: timedelta | None) -> int | None:
    after = milliseconds(limit)
    return None if after is None else at_ms + after


def timeout_of(task_type: str, default: timedelta | None, given: Timeout) -> timedelta | None:
    """The timeout of one task.

    Raises:
        TaskNotSent: the timeout is no `timedelta`, not longer than 0, or longer than `LONGEST_TIMEOUT`.
    """
    timeout = default if isinstance(given, Unset) else given
    check_timeout(task_type, timeout)
    if timeout is not None and not timedelta(0) < timeout <= LONGEST_TIMEOUT:
        wanted = f"at most {LONGEST_TIMEOUT.days} days" if timeout > LONGEST_TIMEOUT else "longer than 0"
        detail = f"the timeout of {task_type} is {timeout}: give one {wanted}, or None to wait without a deadline"
        raise TaskNotSent(Problem(INVALID_TIMEOUT, BAD_REQUEST, detail), task_type=task_type)
    return timeout


def trace_context(*sources: Mapping[str, str]) -> tuple[str | None, str | None]:
    """`traceparent` and `tracestate` of the first source with a valid `traceparent`."""
    for headers in sources:
        traceparent = headers.get("traceparent", "")
        if _TRACEPARENT.fullmatch(traceparent):
            tracestate = headers.get("tracestate", "")
            return traceparent, tracestate if _TRACESTATE.fullmatch(tracestate) else None
    return None, None
