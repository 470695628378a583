"""Result records: where the token is looked for, and what the value means.

Reading goes in two steps, because they fail differently. `read_result` finds the token; nothing else of the record
counts until the token is verified. `ResultRecord.answer` then says what the worker answered; a value that is no
answer is `unusable`, and the caller is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from kallback.protocol import headers as names
from kallback.protocol.awakeables import PREFIX as AWAKEABLE_PREFIX
from kallback.protocol.errors import DecodeError, UnusableResultError, UnverifiedError
from kallback.protocol.frameworks.conventions import (
    DETECTED,
    EVENT_MEDIA_TYPE,
    EVENT_TYPE,
    TABLE,
    Convention,
    Conventions,
    Role,
)
from kallback.protocol.frameworks.foreign_errors import foreign_problem, foreign_text
from kallback.protocol.frameworks.structured_results import StructuredResult, read_event, read_structured
from kallback.protocol.headers import Headers, refuse_excess
from kallback.protocol.outcomes import Unusable, Unverified
from kallback.protocol.problems import DEFAULT_TYPE, Problem
from kallback.protocol.tokens import PREFIX as TOKEN_PREFIX
from kallback.protocol.tokens import shorten
from kallback.protocol.values.bounded_reading import read_json
from kallback.protocol.values.codecs import check_json

NULL: Final = b"null"
_JSON: Final = names.JSON.encode()
_MARK: Final = Role.MARK
_STATUS: Final = Role.STATUS
_SOURCES: Final = {row.correlation_id: convention for convention, row in TABLE.items()}
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

    def problem_type(self) -> str | None:
        """The type of the problem, without reading the rest; None if it cannot be read here."""
        try:
            found = read_json(_PROBLEM_TYPE, self.error).type
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return found if isinstance(found, str) and found else DEFAULT_TYPE


class _ProblemType(msgspec.Struct):
    type: Any = None


_PROBLEM_TYPE: Final = msgspec.json.Decoder(_ProblemType)


Answer = Completed | Failed


class ResultRecord(msgspec.Struct, frozen=True, gc=False):
    """A result record whose token was found, not yet verified.

    Attributes:
        token: as in the record: hostile until verified, secret after. Shortened in repr.
        statuses: the distinct status texts found; none means completed, unless a framework's mark says something else.
        body: the value of the answer, unchecked.
        version: of structured mode; 1 elsewhere.
        convention: where the token was found.
        marks: what else frameworks say in headers, by name.
        conventions: what marks the failures of each task type.
    """

    token: str
    statuses: tuple[bytes, ...]
    body: bytes
    version: object = 1
    convention: Convention = Convention.KALLBACK
    marks: Mapping[str, bytes] | None = None
    conventions: Conventions = DETECTED

    def __repr__(self) -> str:  # every part is hostile, and any part may hold the token
        return f"ResultRecord({shorten(self.token)}, {len(self.body)} bytes)"

    def answer(self, task_type: str = "") -> Answer:
        """What the worker answered; ask only after the token was verified.

        Args:
            task_type: of the verified token: how failures are marked can depend on it.

        Raises:
            UnusableResultError: the value is no answer; the reason says why.
        """
        if self.version != 1:
            raise UnusableResultError(Unusable.UNKNOWN_VERSION, "the envelope's version is not 1")
        status = _status(self.statuses)
        body = self.body
        if self.marks and self.statuses in _NOT_COMPLETED:
            problem = foreign_problem(self.marks, body, self.conventions.of(task_type))
            if problem is not None:
                status, body = Status.FAILED, problem
        if self.marks and status is Status.COMPLETED:
            body = foreign_text(self.marks, body, self.convention)
        return _checked(status, body or NULL)


def _checked(status: Status, body: bytes) -> Answer:
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


def read_result(value: bytes | None, headers: Headers, conventions: Conventions = DETECTED) -> ResultRecord:
    """Find the token of a result record: own header, a framework's correlation id, or in the value, in this order.

    Args:
        value: of the record.
        headers: of the record.
        conventions: what marks failures, for `ResultRecord.answer`.

    Raises:
        UnverifiedError: too many headers, no token, one that is not text, or several different ones.
    """
    refuse_excess(headers)
    own: tuple[bytes, ...] = ()
    statuses: tuple[bytes, ...] = ()
    others: list[tuple[str, bytes | None]] = []
    roles = conventions.roles
    for name, content in headers:  # one pass, for this is done for each record
        role = roles.get(name)
        if role is None or content == _JSON:  # the content type of kallback's own workers says nothing
            continue
        if content is None or role is _MARK:
            others.append((name, content))
        elif name == names.TOKEN:
            own = _with(own, content)
        elif role is _STATUS:
            statuses = _with(statuses, content)
        else:
            others.append((name, content))
    marks = {name: content or b"" for name, content in others if roles[name] is _MARK} if others else None
    if own:
        return ResultRecord(_only(own), statuses, value or b"", marks=marks, conventions=conventions)
    foreign = _foreign_tokens(others)
    if foreign is None:
        return _from_value(read_structured(value), marks, conventions)
    convention, token = foreign
    record = ResultRecord(token, statuses, value or b"", 1, convention, marks, conventions)
    return _from_event(record, read_event(record.body)) if _is_event(record) else record


def _foreign_tokens(headers: Sequence[tuple[str, bytes | None]]) -> tuple[Convention, str] | None:
    """The token in the correlation id of a framework; of several frameworks the first in the table counts."""
    for name, convention in _SOURCES.items():
        found: tuple[bytes, ...] = ()
        for header, content in headers:
            if header == name and content is not None and content.startswith(_OWN_PREFIXES):
                found = _with(found, content)
        if found:
            return convention, _only(found)
    return None


def _is_event(record: ResultRecord) -> bool:
    """Whether a record with a framework's correlation id has a CloudEvent in structured mode as its value.

    The two say different things: the correlation id whose answer it is, the content type how the value is written.
    """
    return record.marks is not None and record.marks.get(names.CONTENT_TYPE, b"").strip().lower().startswith(
        EVENT_MEDIA_TYPE
    )


def _from_value(
    found: StructuredResult | None, marks: Mapping[str, bytes] | None, conventions: Conventions
) -> ResultRecord:
    if found is None:
        raise UnverifiedError(Unverified.NO_TOKEN, _NEEDS_ECHO)
    if found.convention is Convention.KALLBACK:
        return ResultRecord(found.token, found.statuses, found.body, found.version, conventions=conventions)
    record = ResultRecord(found.token, (), b"", 1, found.convention, marks, conventions)
    return _from_event(record, found)


def _from_event(record: ResultRecord, event: StructuredResult | None) -> ResultRecord:
    """Return a record whose value is a CloudEvent: its attributes are in the value."""
    if event is None:
        return record
    marks = {**(record.marks or {}), EVENT_TYPE: event.event_type}
    statuses = event.statuses or record.statuses
    return msgspec.structs.replace(record, statuses=statuses, body=event.body, marks=marks)


def _only(candidates: tuple[bytes, ...]) -> str:
    first, *others = candidates
    if others:
        raise UnverifiedError(Unverified.AMBIGUOUS_TOKEN, "the headers of one record have different tokens")
    try:
        return first.decode("ascii")
    except UnicodeDecodeError:
        raise UnverifiedError(Unverified.MALFORMED_TOKEN, "the token is not ASCII") from None


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


_NEEDS_ECHO: Final = (
    "no token: a worker must echo the task's header kallback-token (or the correlation id of its framework), "
    'or send {"kallback": {"version": 1, "token": ...}, "data": ...}'
)


_NOT_COMPLETED: Final = frozenset({(), (Status.FAILED.encode(),)})
"""Statuses beside which a framework's error header counts: with `failed`, it has the words."""
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
