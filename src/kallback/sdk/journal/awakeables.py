"""One attempt of one task as Restate sees it: an awakeable, the token that completes it, and the wait for it.

`TaskAwakeable` is the low-level path: the handler sends the token itself, in any way it likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from restate import Context, RestateDurableFuture, TerminalError, wait_completed

from kallback.protocol import Attempt, AwakeableId, Keyring, Problem, TaskHeaders, TaskId, TaskType, Token
from kallback.protocol.tokens import NO_DEADLINE
from kallback.sdk.errors import TaskError, TaskFailed, TaskTimedOut
from kallback.sdk.journal.identity import AttemptTimes, TaskIdentity, milliseconds
from kallback.sdk.journal.outcomes import moment, timed_out
from kallback.sdk.journal.serdes import EnvelopeSerde

Result = TypeVar("Result")


class Settled(Enum):
    """Which of the two came first."""

    COMPLETED = "completed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Signing:
    """How tokens are signed, and where results and progress go.

    Attributes:
        audience: what tokens are bound to; the results topic's name unless configured.
    """

    keyring: Keyring
    audience: str
    reply_to: str
    progress_to: str


@dataclass(frozen=True, slots=True)
class PendingAttempt(Generic[Result]):
    """One attempt that waits for its completion."""

    task_type: TaskType[Any, Result]
    awakeable_id: AwakeableId
    headers: TaskHeaders
    future: RestateDurableFuture[Result]

    async def settled(self, timer: RestateDurableFuture[None] | None) -> Settled:
        """Wait for the awakeable or the timer; the awakeable wins if both are there.

        Raises:
            TerminalError: the invocation was cancelled (409). Nothing else raises here: failures stay in the
                future, so that a 409 of a worker is never taken for a cancellation, nor the other way round.
        """
        waited: list[RestateDurableFuture[Any]] = [self.future] if timer is None else [self.future, timer]
        completed, _ = await wait_completed(*waited)
        return Settled.COMPLETED if any(it is self.future for it in completed) else Settled.TIMED_OUT

    async def value(self) -> Result:
        """The value of a settled attempt.

        Raises:
            TaskFailed: also for an awakeable that was rejected with nothing but a text.
        """
        try:
            return await self.future
        except TaskError:
            raise
        except TerminalError as error:
            problem = Problem(status=error.status_code, detail=error.message)
            headers = self.headers
            raise TaskFailed(
                problem, task_type=self.task_type.name, task_id=headers.task_id, attempt=headers.attempt
            ) from None

    def after(self, details: bytes) -> PendingAttempt[Result]:
        """The same with the last heartbeat's details of the attempt before."""
        return replace(self, headers=replace(self.headers, last_details=details))


def open_attempt(
    ctx: Context,
    task_type: TaskType[Any, Result],
    identity: TaskIdentity,
    attempt: Attempt,
    signing: Signing,
    dispatch: AttemptTimes | None = None,
) -> PendingAttempt[Result]:
    """Create the awakeable of an attempt and sign its token. No journal entry of its own.

    Without a `dispatch` the attempt lasts as long as its task.
    """
    serde = EnvelopeSerde(task_type, identity.task_id, attempt)
    name, future = ctx.awakeable(serde)
    awakeable_id = AwakeableId(name)
    deadline_ms = identity.deadline_ms if dispatch is None else dispatch.deadline_ms
    watched = dispatch is not None and task_type.monitored
    token = Token(task_type.name, identity.task_id, attempt, awakeable_id, deadline_ms or NO_DEADLINE)
    headers = TaskHeaders(
        token=signing.keyring.sign(token, signing.audience),
        task_id=identity.task_id,
        attempt=attempt,
        task_type=task_type.name,
        reply_to=signing.reply_to,
        deadline_ms=deadline_ms,
        traceparent=identity.traceparent,
        tracestate=identity.tracestate,
        start_by_ms=None if dispatch is None else dispatch.start_by_ms,
        progress_to=signing.progress_to if watched else None,
        heartbeat_every_ms=milliseconds(task_type.heartbeat_every) if watched else None,
    )
    return PendingAttempt(task_type, awakeable_id, headers, future)


def start_timer(ctx: Context, task_type: str, timeout: timedelta | None) -> RestateDurableFuture[None] | None:
    """The durable timer of a deadline; none for a caller who waits for ever."""
    return None if timeout is None else ctx.sleep(timeout, f"deadline {task_type}")


class TaskAwakeable(Generic[Result]):
    """An awakeable with a token, to be sent in any way: Kafka, HTTP, a file, a person.

        waiting = await callbacks.awakeable(ctx, prepare)
        await ctx.run_typed("ask the kitchen", post, url, headers=waiting.headers)
        prepared = await waiting.result()

    Whoever does the work completes it with the token: with a result record that the bridge reads, through
    `NotifierService`, or with `callbacks.complete(ctx, token, value)` in another service. Nobody is told when the
    time is over: that is the handler's, as the sending was.
    """

    def __init__(
        self, pending: PendingAttempt[Result], identity: TaskIdentity, timer: RestateDurableFuture[None] | None
    ) -> None:
        self._pending: Final = pending
        self._identity: Final = identity
        self._timer: Final = timer
        self._ended: TaskTimedOut | None = None

    @property
    def id(self) -> AwakeableId:
        """The awakeable's id, as Restate shows it. Only a bridge that allows bare awakeables takes it for a token."""
        return self._pending.awakeable_id

    @property
    def token(self) -> str:
        """What completes the awakeable: a bearer credential, do not log it."""
        return self._pending.headers.token

    @property
    def task_id(self) -> TaskId:
        """Stable over replays, different for every run: the worker's idempotency key."""
        return self._pending.headers.task_id

    @property
    def deadline(self) -> datetime | None:
        """Until when `result` waits."""
        return moment(self._pending.headers.deadline_ms)

    @property
    def headers(self) -> Mapping[str, str]:
        """Everything that a worker of kallback expects in a task's headers; `kallback-token` is enough for others."""
        return {name: value.decode() for name, value in self._pending.headers.encode()}

    @property
    def future(self) -> RestateDurableFuture[Result]:
        """The typed future, fit for `restate.select`, `gather` and `wait_completed`. It knows no deadline."""
        return self._pending.future

    async def result(self) -> Result:
        """Wait for the result.

        Raises:
            TaskFailed: the worker reported a failure, or what came is no result (`InvalidResult`).
            TaskTimedOut: no result before the deadline.
            TerminalError: the invocation was cancelled (409).
        """
        if self._ended is not None:
            raise self._ended
        if await self._pending.settled(self._timer) is Settled.TIMED_OUT:
            self._ended = timed_out(self._pending.task_type.name, self._identity, self._pending.headers.attempt)
            raise self._ended
        return await self._pending.value()

    def __repr__(self) -> str:
        return f"TaskAwakeable({self._pending.headers!r})"
