"""Completes awakeables from another Restate service; every id is checked before Restate sees it.

Restate retries `ctx.resolve_awakeable` with an invalid id without end, and with signal index 1 it *cancels* the other
invocation. So an id is parsed first, and an invalid one is a terminal error at once.
"""

from __future__ import annotations

from typing import Any, Final

from restate import Context
from restate.serde import BytesSerde

from kallback.protocol import (
    Answer,
    AwakeableId,
    Codec,
    EncodeError,
    Keyring,
    Problem,
    Token,
    UnverifiedError,
    parse_awakeable_id,
    seal,
)
from kallback.sdk.arguments import check_completion
from kallback.sdk.errors import INTERNAL, CompletionRefused
from kallback.sdk.signatures import checked_call

_BYTES: Final = BytesSerde()
_ANY: Final = Codec[Any](object)
_LOWEST_CODE: Final = 400
_HIGHEST_CODE: Final = 599


@checked_call
def complete_awakeable(ctx: Context, awakeable_id: str, payload: object = None) -> None:
    """Resolve an awakeable that another handler made with `ctx.awakeable()`.

        complete_awakeable(ctx, request.awakeable_id, Driver("sam"))

    The payload is anything with a JSON form: plain values, dataclasses, `msgspec.Struct`, pydantic models. For an
    awakeable of `callbacks.awakeable` use its token and `callbacks.complete`.

    Raises:
        CompletionRefused: the id is no awakeable id, or JSON cannot carry the payload.
    """
    ctx.resolve_awakeable(_awakeable_id(awakeable_id), encoded(payload), _BYTES)


@checked_call
def reject_awakeable(ctx: Context, awakeable_id: str, message: str, code: int = INTERNAL) -> None:
    """Reject an awakeable that another handler made: its await raises a `TerminalError` of this code, 400 to 599.

    Raises:
        CompletionRefused: the id is no awakeable id, or the code is out of range.
    """
    check_completion("message", message, str)
    check_completion("code", code, int)
    if not _LOWEST_CODE <= code <= _HIGHEST_CODE:
        raise CompletionRefused("invalid-code", f"code {code} is no error: choose one from 400 to 599")
    ctx.reject_awakeable(_awakeable_id(awakeable_id), message.encode(errors="replace").decode(), code)


def complete_token(ctx: Context, token: Token, answer: Answer) -> None:
    """Resolve the awakeable of a verified token with the answer's envelope."""
    ctx.resolve_awakeable(token.awakeable_id, seal(token.task_id, token.attempt, answer), _BYTES)


def encoded_problem(problem: Problem) -> bytes:
    """A problem as JSON.

    Raises:
        CompletionRefused: an extension has no JSON form.
    """
    check_completion("problem", problem, Problem)
    try:
        return problem.encode()
    except Exception as error:  # noqa: BLE001 - whatever the values of the extensions raise, it must not be retried without end
        raise CompletionRefused("unencodable-value", f"the problem has no JSON form: {error}") from None


def verified(keyring: Keyring, audience: str, token: str) -> Token:
    """Read a token.

    Raises:
        CompletionRefused: its signature cannot be verified.
    """
    check_completion("token", token, str)
    try:
        return keyring.verify(token, audience)
    except UnverifiedError as error:
        raise CompletionRefused(error.reason, error.detail) from None


def encoded(value: object) -> bytes:
    """A value as JSON.

    Raises:
        CompletionRefused: it has no JSON form.
    """
    try:
        return _ANY.encode(value)
    except EncodeError as error:
        raise CompletionRefused("unencodable-value", str(error)) from None


def _awakeable_id(text: str) -> AwakeableId:
    check_completion("awakeable_id", text, str)
    try:
        return parse_awakeable_id(text)
    except UnverifiedError as error:
        raise CompletionRefused(error.reason, error.detail) from None
