"""Result records: where the token is looked for, and what the value means.

Reading goes in two steps, because they fail differently. `read_result` finds the token; nothing else of the record
counts until the token is verified. `ResultRecord.answer` then says what the worker answered; a value that is no
answer is `unusable`, and the caller is told at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from kallback.protocol import headers as names
from kallback.protocol.awakeables import PREFIX as AWAKEABLE_PREFIX
from kallback.protocol.errors import DecodeError, UnusableResultError, UnverifiedError
from kallback.protocol.headers import Headers, refuse_excess
from kallback.protocol.outcomes import Unusable, Unverified
from kallback.protocol.problems import Problem
from kallback.protocol.tokens import PREFIX as TOKEN_PREFIX
from kallback.protocol.tokens import shorten
from kallback.protocol.values.codecs import check_json

NULL: Final = b"null"
_OWN_PREFIXES: Final = (TOKEN_PREFIX.encode(), AWAKEABLE_PREFIX.encode())


class Status(StrEnum):
    """The values of header `kallback-status`."""

    COMPLETED = "completed"
    FAILED = "failed"


class Completed(msgspec.Struct, frozen=True, gc=False):
    """The work is done.

    Attributes:
        value: the result, proven to be JSON, byte for byte as the worker sent it; `null` for an empty value.
    """

    value: bytes


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The work failed.

    Attributes:
        error: a problem object, proven to be a JSON object, byte for byte as the worker sent it.
    """

    error: bytes

    def problem(self) -> Problem:
        """The problem, read leniently.

        Raises:
            DecodeError: an envelope that no bridge made holds something else than an object, or the object is nested
                too deep to be read here.
        """
        return Problem.decode(self.error)


Answer = Completed | Failed


class ResultRecord(msgspec.Struct, frozen=True, gc=False):
    """A result record whose token was found, not yet verified.

    Attributes:
        token: as in the record: hostile until verified, secret after. Shortened in repr.
        statuses: the distinct status texts found; none means completed.
        version: of structured mode; 1 elsewhere.
        body: the value of the answer, unchecked.
    """

    token: str
    statuses: tuple[bytes, ...]
    body: bytes
    version: object = 1

    def __repr__(self) -> str:  # every part is hostile, and any part may hold the token
        return f"ResultRecord({shorten(self.token)}, {len(self.body)} bytes)"

    def answer(self) -> Answer:
        """What the worker answered; ask only after the token was verified.

        Raises:
            UnusableResultError: the value is no answer; the reason says why.
        """
        if self.version != 1:
            raise UnusableResultError(Unusable.UNKNOWN_VERSION, "the envelope's version is not 1")
        status = _status(self.statuses)
        body = self.body or NULL
        try:
            check_json(body)
        except DecodeError as error:
            raise UnusableResultError(Unusable.NOT_JSON, f"the value is {error}") from None
        if status is Status.COMPLETED:
            return Completed(body)
        if body.strip() != NULL and not body.lstrip().startswith(b"{"):
            raise UnusableResultError(
                Unusable.NOT_A_PROBLEM, "a failed result's value must be a problem object (RFC 9457) or empty"
            )
        return Failed(body if body.strip() != NULL else Problem.decode(b"").encode())


def read_result(value: bytes | None, headers: Headers) -> ResultRecord:
    """Find the token of a result record: own header, Spring's correlation id, or structured mode, in this order.

    Raises:
        UnverifiedError: too many headers, no token, one that is not text, or several different ones.
    """
    refuse_excess(headers)
    own: tuple[bytes, ...] = ()
    correlation: tuple[bytes, ...] = ()
    statuses: tuple[bytes, ...] = ()
    for name, content in headers:  # one pass, for this is done for each record
        if content is None:
            continue
        if name == names.TOKEN:
            own = _with(own, content)
        elif name == names.STATUS:
            statuses = _with(statuses, content)
        elif name == names.SPRING_CORRELATION_ID and content.startswith(_OWN_PREFIXES):
            correlation = _with(correlation, content)
    candidates = own or correlation
    if not candidates:
        return _read_structured(value)
    if len(candidates) > 1:
        raise UnverifiedError(Unverified.AMBIGUOUS_TOKEN, "the headers of one record have different tokens")
    try:
        token = b"".join(candidates).decode("ascii")  # the one that there is
    except UnicodeDecodeError:
        raise UnverifiedError(Unverified.MALFORMED_TOKEN, "the token is not ASCII") from None
    return ResultRecord(token, statuses, value or b"")


def _with(values: tuple[bytes, ...], another: bytes) -> tuple[bytes, ...]:
    """The distinct values, in order, at most two: the second says that they differ, more would cost quadratic time."""
    return values if len(values) > 1 or another in values else (*values, another)


def completed_headers(token: str) -> tuple[tuple[str, bytes], ...]:
    """The headers of a completed result; the value is the result as JSON."""
    return ((names.TOKEN, token.encode()), (names.STATUS, Status.COMPLETED.encode()), _CONTENT_TYPE)


def failed_headers(token: str) -> tuple[tuple[str, bytes], ...]:
    """The headers of a failed result; the value is `Problem.encode()`."""
    return ((names.TOKEN, token.encode()), (names.STATUS, Status.FAILED.encode()), _CONTENT_TYPE)


_CONTENT_TYPE: Final = (names.CONTENT_TYPE, names.JSON.encode())


class _Head(msgspec.Struct):
    """The `kallback` member of structured mode; wrong types are looked at after the token is verified."""

    token: str
    version: object = 1
    status: object = None
    error: msgspec.Raw = msgspec.Raw(b"")


class _Structured(msgspec.Struct):
    kallback: _Head
    data: msgspec.Raw = msgspec.Raw(b"")


_STRUCTURED: Final = msgspec.json.Decoder(_Structured)


_NOT_TEXT: Final = b"?"
"""In place of a status that is not text: unknown in any case."""


def _read_structured(value: bytes | None) -> ResultRecord:
    if not value:
        raise UnverifiedError(Unverified.NO_TOKEN, _NEEDS_ECHO)
    try:
        check_json(value)
        record = _STRUCTURED.decode(value)
    except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnverifiedError(Unverified.NO_TOKEN, _NEEDS_ECHO) from None
    status = record.kallback.status
    statuses = () if status is None else (status.encode() if isinstance(status, str) else _NOT_TEXT,)
    failed = statuses == (Status.FAILED.encode(),)
    body = bytes(record.kallback.error) or bytes(record.data) if failed else bytes(record.data)
    return ResultRecord(record.kallback.token, statuses, body, record.kallback.version)


_NEEDS_ECHO: Final = (
    "no token: a worker must echo the task's header kallback-token (or kafka_correlationId), "
    'or send {"kallback": {"version": 1, "token": ...}, "data": ...}'
)


_USUAL: Final = frozenset({(), (Status.COMPLETED.encode(),)})


def _status(statuses: Sequence[bytes]) -> Status:
    if statuses in _USUAL:
        return Status.COMPLETED
    if len(statuses) > 1:
        raise UnusableResultError(
            Unusable.AMBIGUOUS_STATUS, "header kallback-status occurs more than once, with different values"
        )
    text = statuses[0].decode("ascii", "replace")
    try:
        return Status(text)
    except ValueError:
        raise UnusableResultError(Unusable.UNKNOWN_STATUS, "the status is neither 'completed' nor 'failed'") from None
