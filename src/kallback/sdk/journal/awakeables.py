"""One attempt of one task: an awakeable, the token that completes it, and the wait for it.

`TaskAwakeable` is the low-level path: the handler sends the token itself, over any transport.
"""

# The SDK does not say of what type the futures of its server are:
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeArgument=false

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from restate import Context, RestateDurableFuture, TerminalError, wait_completed
from restate.server_context import ServerDurableFuture

from kallback.protocol import Attempt, AwakeableId, Keyring, Problem, TaskHeaders, TaskId, TaskType, Token
from kallback.protocol.cancel_secrets import cancel_secret, hash_of
from kallback.protocol.tokens import NO_DEADLINE
from kallback.sdk.errors import TaskError, TaskFailed, TaskTimedOut, timed_out
from kallback.sdk.journal.identity import AttemptTimes, TaskIdentity, datetime_of, milliseconds
from kallback.sdk.journal.serdes import EnvelopeSerde
from kallback.sdk.one_task import turn
from kallback.settings import GatewaySettings

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


def open_attempt(
    ctx: Context,
    task_type: TaskType[Any, Result],
    identity: TaskIdentity,
    attempt: Attempt,
    signing: Signing,
    times: AttemptTimes | None = None,
    *,
    hand_back: bool = False,
    retry_lost: bool = False,
) -> PendingAttempt[Result]:
    """Create the awakeable of an attempt and sign its token. No journal entry of its own.

    Without `times` the attempt has only the task's limits. `hand_back` tells workers that they may hand it back,
    `retry_lost` that another attempt follows if its heartbeats stop.
    """
    serde = EnvelopeSerde(task_type, identity.task_id, attempt)
    name, future = ctx.awakeable(serde)
    if isinstance(future, ServerDurableFuture):
        future = _ResultFuture(future)
    awakeable_id = AwakeableId(name)
    deadline_ms = identity.deadline_ms if times is None else times.deadline_ms
    watched = times is not None and task_type.monitored
    secret = signing.cancel_secret(identity, attempt)
    token = Token(task_type.name, identity.task_id, attempt, awakeable_id, deadline_ms or NO_DEADLINE)
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
    return PendingAttempt(task_type, awakeable_id, headers, future, secret)


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


class TaskAwakeable(Generic[Result]):
    """An awakeable with a token, which the handler sends over any transport: Kafka, HTTP, a file, a person.

        waiting = await callbacks.awakeable(ctx, prepare)
        await ctx.run_typed("ask the kitchen", post, url, headers=waiting.headers)
        prepared = await waiting.result()

    The receiver completes it with the token: with a result record for the bridge, over HTTP at the gateway, through
    `NotifierService`, or with `callbacks.complete(ctx, token, value)` in another service. kallback tells no worker when
    the deadline passes: the handler sent the token, so the handler withdraws it.
    """

    def __init__(
        self,
        ctx: Context,
        pending: PendingAttempt[Result],
        timer: RestateDurableFuture[None] | None,
        gateway: GatewaySettings,
    ) -> None:
        self._ctx: Final = ctx
        self._pending: Final = pending
        self._gateway: Final = gateway
        self._timer: Final = timer
        self._ended: TaskTimedOut | None = None

    @property
    def id(self) -> AwakeableId:
        """The awakeable's id in Restate. Only a bridge that allows bare awakeables accepts it in place of a token."""
        return self._pending.awakeable_id

    @property
    def token(self) -> str:
        """Completes the awakeable: a bearer credential, do not log it."""
        return self._pending.headers.token

    @property
    def url(self) -> str:
        """The link that completes the awakeable with a POST: a bearer credential like the token, do not log it.

        Raises:
            ConfigurationError: KALLBACK_GATEWAY_URL is not set. Restate tries the handler again, so the call goes on
                when it is.
        """
        return self._gateway.link(self.token)

    @property
    def cancel_secret(self) -> str | None:
        """The `secret` of a control record that cancels this task, which only the handler can send: do not log it."""
        return self._pending.cancel_secret

    @property
    def task_id(self) -> TaskId:
        """Stable over replays, different for every run: the worker's idempotency key."""
        return self._pending.headers.task_id

    @property
    def deadline(self) -> datetime | None:
        """The end of the wait in `result`; None without a deadline."""
        return datetime_of(self._pending.headers.deadline_ms)

    @property
    def headers(self) -> Mapping[str, str]:
        """All headers that a kallback worker expects with a task; `kallback-token` is enough for others."""
        return {name: value.decode() for name, value in self._pending.headers.encode()}

    @property
    def future(self) -> RestateDurableFuture[Result]:
        """The typed future for `restate.select`, `gather` and `wait_completed`. It has no deadline."""
        return self._pending.future

    async def result(self) -> Result:
        """Wait for the result.

        Raises:
            TaskFailed: the worker reported a failure, or the result does not fit its type (`InvalidResult`).
            TaskTimedOut: no result before the deadline.
            TerminalError: the invocation was cancelled (409), or this is awaited inside `ctx.run` (400).
        """
        async with turn(self._ctx, "the result of an awakeable"):
            return await self._result()

    async def _result(self) -> Result:
        if self._ended is not None:
            raise self._ended
        pending = self._pending
        completed, _ = await wait_completed(*[pending.future] if self._timer is None else [pending.future, self._timer])
        if pending.future not in completed:
            self._ended = timed_out(pending.task_type.name, self.task_id, pending.headers.attempt, self.deadline)
            raise self._ended
        return await pending.value()

    def __repr__(self) -> str:
        return f"TaskAwakeable({self._pending.headers!r})"
