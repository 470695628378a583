"""Completing awakeables from another Restate service, with every id checked before Restate sees it.

`ctx.resolve_awakeable` with text that is no awakeable id is retried for ever, and with signal index 1 it *cancels*
the other invocation. So an id is parsed first, and one that is no good is a terminal error at once.
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
from kallback.sdk.errors import INTERNAL, CompletionRefused

_BYTES: Final = BytesSerde()
_ANY: Final = Codec[Any](object)
_LOWEST_CODE: Final = 400
_HIGHEST_CODE: Final = 599


def complete_awakeable(ctx: Context, awakeable_id: str, payload: object = None) -> None:
    """Resolve an awakeable that another handler made with `ctx.awakeable()`.

        complete_awakeable(ctx, request.awakeable_id, Driver("sam"))

    The payload is anything with a JSON form: plain values, dataclasses, `msgspec.Struct`, pydantic models. For an
    awakeable of `callbacks.awakeable` use its token and `callbacks.complete`.

    Raises:
        CompletionRefused: the id is no awakeable id, or the payload has no JSON form.
    """
    ctx.resolve_awakeable(_awakeable_id(awakeable_id), encoded(payload), _BYTES)


def reject_awakeable(ctx: Context, awakeable_id: str, message: str, code: int = INTERNAL) -> None:
    """Reject an awakeable that another handler made: its await raises a `TerminalError` of this code, 400 to 599.

    Raises:
        CompletionRefused: the id is no awakeable id, or the code is out of range.
    """
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
    try:
        return problem.encode()
    except Exception as error:  # noqa: BLE001 - whatever the values of the extensions raise, it must not be retried for ever
        raise CompletionRefused("unencodable-value", f"the problem has no JSON form: {error}") from None


def verified(keyring: Keyring, audience: str, token: str) -> Token:
    """Read a token.

    Raises:
        CompletionRefused: nothing proves that it is one of ours.
    """
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
    try:
        return parse_awakeable_id(text)
    except UnverifiedError as error:
        raise CompletionRefused(error.reason, error.detail) from None
