"""`TaskAwakeable`: an awakeable whose token the handler sends itself, over any transport. Nothing goes to Kafka.

The step *create task* says which awakeable waits, so that a list of what is pending has it. The name of the step must
stay as it is, and so must the order of entries: journals that were begun by earlier versions are replayed by this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import msgspec
from restate import Context, RestateDurableFuture, TerminalError, wait_completed

from kallback.protocol import AwakeableId, EncodeError, Keyring, TaskId, TaskType, locate_awakeable
from kallback.protocol.links import Choice, Form, sign_form
from kallback.protocol.published import JournaledAwakeable
from kallback.protocol.tokens import FIRST_ATTEMPT
from kallback.sdk.arguments import check_future, check_text, checked_choices
from kallback.sdk.errors import BAD_REQUEST, InvalidResult, TaskTimedOut, timed_out
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


@dataclass(frozen=True, slots=True)
class Links:
    """How links are made: where the gateway is, and what signs their forms."""

    gateway: GatewaySettings
    keyring: Keyring


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
        links: Links,
        observer: TaskObserver,
    ) -> None:
        self._observer: Final = observer
        self._ctx: Final = ctx
        self._pending: Final = pending
        self._links: Final = links
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

        It is for programs. For a person who is to click, see `form_url`.

        Raises:
            ConfigurationError: KALLBACK_GATEWAY_URL is not set. Restate tries the handler again, so the call goes on
                when it is.
        """
        return self._links.gateway.link(self.token)

    def form_url(self, question: str, choices: Mapping[str, Result]) -> str:
        """The link to a page of the gateway with a question and a button for each answer: a bearer credential, too.

            waiting.form_url("Order the lamp?", {"Approve": True, "Refuse": False})

        Opening it completes nothing; a button does. The texts are signed and plain: nothing in them is markup.

        Args:
            question: 1 to 500 characters, which may have several lines.
            choices: labels of the buttons, 1 to 60 characters each, and the results that they send; 1 to 8.

        Raises:
            TerminalError: a text is too long, or a result does not fit the task type (400).
            ConfigurationError: as of `url`.
        """
        check_text("question", question)
        found: list[Choice] = []
        for label, value in checked_choices(choices).items():
            found.append(Choice(label, msgspec.Raw(self._encoded(label, value))))
        try:
            text = sign_form(Form(question, tuple(found)), self.token, self._links.keyring)
        except ValueError as error:
            raise TerminalError(f"{self._pending.task_type.name}: {error}", BAD_REQUEST) from None
        return self._links.gateway.link(self.token, text)

    def _encoded(self, label: str, value: Result) -> bytes:
        try:
            return self._pending.task_type.result_codec.encode(value)
        except EncodeError as error:
            raise TerminalError(f"choices[{label!r}]: {error}", BAD_REQUEST) from None

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

    async def ends_before(self, future: RestateDurableFuture[Any]) -> bool:
        """Wait until there is an answer, the deadline has passed, or another durable future is completed.

            if not await waiting.ends_before(ctx.sleep(timedelta(hours=8))):
                callbacks.fail(ctx, waiting.token, Problem("Withdrawn", 410, "the day is over"))
                return "no answer today"
            return await waiting.result()

        Args:
            future: as for `handle.ends_before`.

        Returns:
            Whether it has ended: then `result()` has the answer or raises. If not, an answer still counts.

        Raises:
            TerminalError: the invocation was cancelled (409). Or it is no durable future (400).
        """
        check_future("future", future)
        own = [self._pending.future] if self._timer is None else [self._pending.future, self._timer]
        async with turn(self._ctx, "the end of an awakeable"):
            completed, _ = await wait_completed(*own, future)
        return any(each in completed for each in own)

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
