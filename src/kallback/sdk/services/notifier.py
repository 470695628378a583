"""`NotifierService`: completes awakeables in batches, for the bridge and for any client of Restate's ingress.

    POST /NotifierService/ack_many
    [{"token": "kb1:...", "status": "completed", "value": {"shelf": "B3"}},
     {"token": "kb1:...", "status": "failed", "error": {"type": "OutOfStock", "status": 422, "detail": "no basil"}}]

    [{"outcome": "delivered"}, {"outcome": "delivered"}]

An item is `token`, `status` (`completed` when absent) and `value` or `error`, both as the worker sent them; `null`
when absent. Each item gets the verdict that the bridge would give (`delivered`, `unverified`, `unusable`,
`rejected`), with a `reason` and a `detail` where it is not `delivered`, in the order of the items. A bad item
does not affect the others, and none is retried. A body that is not a JSON array is refused with code 400.

Values are validated and spliced, never encoded again. The handlers read no clock, so that a replay decides the
same way: the bridge decides whether a result is late, and posting it late is harmless.

Keep its retention of 0, or Restate keeps every batch for a day.
"""

from datetime import timedelta
from typing import Final

import msgspec
from restate import Context, Service, TerminalError
from restate.serde import BytesSerde

from kallback.protocol import (
    UNUSABLE_RESULT,
    Answer,
    AwakeableId,
    Completed,
    DecodeError,
    Failed,
    Keyring,
    Outcome,
    Problem,
    ResultRecord,
    ServiceNames,
    Token,
    Unusable,
    UnusableResultError,
    Unverified,
    UnverifiedError,
    parse_awakeable_id,
    seal,
    service_names,
)
from kallback.protocol.awakeables import PREFIX as AWAKEABLE_PREFIX
from kallback.sdk.errors import BAD_REQUEST

_BYTES: Final = BytesSerde()
_NOTHING: Final = msgspec.Raw(b"")


class _Item(msgspec.Struct):
    token: str
    status: str | None = None
    value: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING

    def record(self) -> ResultRecord:
        body = bytes(self.error) or bytes(self.value) if self.status == "failed" else bytes(self.value)
        return ResultRecord(self.token, () if self.status is None else (self.status.encode(),), body)


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one item.

    Attributes:
        reason: a word for metrics; `detail` is a sentence for people.
    """

    outcome: Outcome
    reason: str | None = None
    detail: str | None = None


_DELIVERED: Final = Verdict(Outcome.DELIVERED)
_ITEM: Final = msgspec.json.Decoder(_Item)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class NotifierService(Service):
    """The Restate service `NotifierService`, ready to be bound; `callbacks.services` has it.

    Args:
        allow_bare_awakeables: also complete plain awakeable ids: no deadline, no fencing, no authentication.
        names: of the environment's services; by default those of the audience.
    """

    def __init__(
        self,
        keyring: Keyring,
        audience: str,
        *,
        allow_bare_awakeables: bool = False,
        names: ServiceNames | None = None,
    ) -> None:
        super().__init__(
            (names or service_names(audience)).notifier,
            description="Completes awakeables for kallback: verifies each item and answers a verdict per item.",
            journal_retention=timedelta(0),
            idempotency_retention=timedelta(0),
        )
        self._keyring: Final = keyring
        self._audience: Final = audience
        self._allow_bare: Final = allow_bare_awakeables
        self._bind()

    def _bind(self) -> None:
        async def ack(ctx: Context, item: bytes) -> bytes:
            """Complete one awakeable."""
            return msgspec.json.encode(self._settle(ctx, item))

        async def ack_many(ctx: Context, items: bytes) -> bytes:
            """Complete many awakeables."""
            return msgspec.json.encode([self._settle(ctx, item) for item in _split(items)])

        for function in (ack, ack_many):
            self.handler(input_serde=_BYTES, output_serde=_BYTES)(function)

    def _settle(self, ctx: Context, data: bytes | msgspec.Raw) -> Verdict:
        try:
            item = _ITEM.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Verdict(Outcome.UNVERIFIED, Unverified.NO_TOKEN, f"not an item: {error}")
        try:
            if self._allow_bare and item.token.startswith(AWAKEABLE_PREFIX):
                return _settle_bare(ctx, parse_awakeable_id(item.token), item.record())
            token = self._keyring.verify(item.token, self._audience)
        except UnverifiedError as error:
            return Verdict(Outcome.UNVERIFIED, error.reason, error.detail)
        return _settle_token(ctx, token, item.record())


def _split(items: bytes) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(items)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TerminalError(
            f"the body is no JSON array of items, or one nests too deep: send the items one by one ({error})",
            BAD_REQUEST,
        ) from None


def _settle_token(ctx: Context, token: Token, record: ResultRecord) -> Verdict:
    """Resolve with the answer; with a failure if there is none, so that its handler does not wait for the deadline."""
    answer: Answer
    try:
        answer, verdict = record.answer(), _DELIVERED
    except UnusableResultError as error:
        answer = Failed(Problem(UNUSABLE_RESULT, detail=error.detail).encode())
        verdict = Verdict(Outcome.UNUSABLE, error.reason, error.detail)
    ctx.resolve_awakeable(token.awakeable_id, seal(token.task_id, token.attempt, answer), _BYTES)
    return verdict


def _settle_bare(ctx: Context, awakeable_id: AwakeableId, record: ResultRecord) -> Verdict:
    """Resolve with the value itself; a failure keeps its code, as plain ingress could not."""
    try:
        answer = record.answer()
        if isinstance(answer, Completed):
            ctx.resolve_awakeable(awakeable_id, answer.value, _BYTES)
        else:
            problem = answer.problem()
            ctx.reject_awakeable(awakeable_id, problem.detail or problem.title or problem.type, problem.status)
    except DecodeError as error:
        return Verdict(Outcome.UNUSABLE, Unusable.NOT_A_PROBLEM, str(error))
    except UnusableResultError as error:
        return Verdict(Outcome.UNUSABLE, error.reason, error.detail)
    return _DELIVERED
