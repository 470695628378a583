"""`TaskAwakeable`: an awakeable whose token the handler sends itself, over any transport. Nothing goes to Kafka.

The step *create task* says which awakeable waits, so that a list of what is pending has it. The name of the step must
stay as it is, and so must the order of entries: journals that were begun by earlier versions are replayed by this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import msgspec
from restate import Context, RestateDurableFuture, wait_completed

from kallback.protocol import AwakeableId, TaskId, TaskType, locate_awakeable
from kallback.protocol.published import JournaledAwakeable
from kallback.protocol.tokens import FIRST_ATTEMPT
from kallback.sdk.errors import InvalidResult, TaskTimedOut, timed_out
from kallback.sdk.journal.awakeables import Awakeable, PendingAttempt, Signing, open_attempt
from kallback.sdk.journal.identity import IdentitySource, TaskIdentity, datetime_of
from kallback.sdk.journal.serdes import DeferredSerde, EnvelopeSerde, StepSerde
from kallback.sdk.observability.observer import TaskObserver
from kallback.sdk.one_task import turn
from kallback.settings import GatewaySettings

Result = TypeVar("Result")


async def open_for_token(
    ctx: Context,
    task_type: TaskType[Any, Result],
    limit: timedelta | None,
    identities: IdentitySource,
    signing: Signing,
) -> PendingAttempt[Result]:
    """Make an awakeable and sign its token, in one journaled step."""
    serde = DeferredSerde[Result]()
    awakeable = Awakeable[Result].make(ctx, serde)
    journaled = JournaledAwakeable(task_type.name, locate_awakeable(awakeable.id).signal_index, signing.audience)
    identity = await identities.create(ctx, task_type, limit, AwakeableStepSerde(journaled))
    serde.known = EnvelopeSerde(task_type, identity.task_id, FIRST_ATTEMPT)
    return open_attempt(awakeable, task_type, identity, FIRST_ATTEMPT, signing)


class AwakeableStepSerde(StepSerde[TaskIdentity]):
    """Writes the awakeable before the members of the identity, because a list knows the step by its beginning.

    The beginning is that of a step that publishes, so that one query finds both; nothing is sent here. The list alone
    reads it. What is read back is the identity, as earlier versions wrote it alone.
    """

    def __init__(self, journaled: JournaledAwakeable) -> None:
        super().__init__(TaskIdentity)
        self._beginning: Final = b'{"sent":null,"awakeable":%b,' % msgspec.json.encode(journaled)

    def serialize(self, obj: TaskIdentity | None) -> bytes:
        """The value of the step."""
        return self._beginning + super().serialize(obj).removeprefix(b"{")


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
        observer: TaskObserver,
    ) -> None:
        self._observer: Final = observer
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
        try:
            return await pending.value()
        except InvalidResult as error:
            self._observer.awakeable_ended(self._ctx, error)
            raise

    def __repr__(self) -> str:
        return f"TaskAwakeable({self._pending.headers!r})"
