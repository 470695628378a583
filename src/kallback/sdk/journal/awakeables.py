"""One attempt of one task: an awakeable, the token that completes it, and the wait for it."""

# The SDK does not say of what type the futures of its server are:
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeArgument=false

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Generic, TypeVar

from restate import Context, RestateDurableFuture, TerminalError, wait_completed
from restate.serde import Serde
from restate.server_context import ServerDurableFuture

from kallback.protocol import Attempt, AwakeableId, Keyring, Problem, TaskHeaders, TaskType, Token
from kallback.protocol.cancel_secrets import cancel_secret, hash_of
from kallback.protocol.tokens import NO_DEADLINE
from kallback.sdk.errors import TaskError, TaskFailed
from kallback.sdk.journal.identity import AttemptTimes, TaskIdentity, milliseconds
from kallback.sdk.journal.serdes import EnvelopeSerde

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Signing:
    """How tokens are signed, and the topics for results and progress.

    Attributes:
        audience: tokens are bound to it; the results topic's name unless configured.
    """

    keyring: Keyring
    audience: str
    reply_to: str
    progress_to: str

    def cancel_secret(self, identity: TaskIdentity, attempt: Attempt) -> str | None:
        """The secret of a cancel that covers the attempts up to this one; None without the key of the task."""
        key_id = identity.cancel_key
        return None if key_id is None else cancel_secret(self.keyring, key_id, identity.task_id, attempt)


@dataclass(frozen=True, slots=True)
class PendingAttempt(Generic[Result]):
    """One attempt that waits for its completion.

    Attributes:
        cancel_secret: proves a cancel of it to the workers; hidden in repr.
    """

    task_type: TaskType[Any, Result]
    awakeable_id: AwakeableId
    headers: TaskHeaders
    future: RestateDurableFuture[Result]
    cancel_secret: str | None = field(repr=False)

    async def value(self) -> Result:
        """The value of a completed attempt.

        Raises:
            TaskFailed: also for an awakeable that was rejected with a plain text.
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
        """The same attempt with the last heartbeat's details of the attempt before it."""
        return replace(self, headers=replace(self.headers, last_details=details))


@dataclass(frozen=True, slots=True)
class Awakeable(Generic[Result]):
    """An awakeable of Restate; it has no journal entry of its own.

    Attributes:
        future: what completes it, opened by the serde that it was made with.
    """

    id: AwakeableId
    future: RestateDurableFuture[Result]

    @classmethod
    def make(cls, ctx: Context, serde: Serde[Result]) -> Awakeable[Result]:
        """Make the next awakeable of an invocation: its id follows from the number of those before."""
        name, future = ctx.awakeable(serde)
        if isinstance(future, ServerDurableFuture):
            future = _ResultFuture(future)
        return cls(AwakeableId(name), future)

    @classmethod
    def of_attempt(
        cls, ctx: Context, task_type: TaskType[Any, Result], identity: TaskIdentity, attempt: Attempt
    ) -> Awakeable[Result]:
        """Make the one of an attempt of a known task."""
        return cls.make(ctx, EnvelopeSerde(task_type, identity.task_id, attempt))


def open_attempt(
    awakeable: Awakeable[Result],
    task_type: TaskType[Any, Result],
    identity: TaskIdentity,
    attempt: Attempt,
    signing: Signing,
    times: AttemptTimes | None = None,
    *,
    hand_back: bool = False,
    retry_lost: bool = False,
) -> PendingAttempt[Result]:
    """Sign the token of an attempt that waits for an awakeable. No journal entry of its own.

    Without `times` the attempt has only the task's limits. `hand_back` tells workers that they may hand it back,
    `retry_lost` that another attempt follows if its heartbeats stop.
    """
    deadline_ms = identity.deadline_ms if times is None else times.deadline_ms
    watched = times is not None and task_type.monitored
    secret = signing.cancel_secret(identity, attempt)
    token = Token(task_type.name, identity.task_id, attempt, awakeable.id, deadline_ms or NO_DEADLINE)
    headers = TaskHeaders(
        token=signing.keyring.sign(token, signing.audience),
        task_id=identity.task_id,
        attempt=attempt,
        task_type=task_type.name,
        reply_to=task_type.results_topic or signing.reply_to,
        deadline_ms=deadline_ms,
        traceparent=identity.traceparent,
        tracestate=identity.tracestate,
        start_by_ms=None if times is None else times.start_by_ms,
        progress_to=signing.progress_to if watched else None,
        heartbeat_every_ms=milliseconds(task_type.heartbeat_every) if watched else None,
        cancel_hash=None if secret is None else hash_of(secret),
        hand_back=hand_back,
        retry_lost=retry_lost,
        convention=task_type.convention,
    )
    return PendingAttempt(task_type, awakeable.id, headers, awakeable.future, secret)


class _ResultFuture(ServerDurableFuture[Result]):
    """The future of an awakeable, which an await that the invocation's cancellation ends leaves as it was.

    Restate's own one would keep that 409 as its outcome: it would count as completed, and as the task's failure.
    """

    def __init__(self, future: ServerDurableFuture[Result]) -> None:
        super().__init__(future.context, future.handle, future.future.async_def)

    def __await__(self) -> Generator[Any, Any, Result]:
        return self._value().__await__()

    async def _value(self) -> Result:
        await wait_completed(self)
        value: Result = await self.future.get()
        return value


def start_timer(ctx: Context, task_type: str, timeout: timedelta | None) -> RestateDurableFuture[None] | None:
    """The durable timer of a deadline; None without a deadline."""
    return None if timeout is None else ctx.sleep(timeout, f"deadline {task_type}")
