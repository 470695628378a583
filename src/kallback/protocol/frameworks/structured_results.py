"""Results that carry the token in their value: structured mode, and CloudEvents in theirs.

Everything here is hostile until the token is verified. Therefore members are not built where they are only skipped,
and what is kept of a CloudEvent besides its data is short.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from kallback.protocol.awakeables import PREFIX as AWAKEABLE_PREFIX
from kallback.protocol.frameworks.conventions import Convention
from kallback.protocol.frameworks.plain_texts import text_without_quotes
from kallback.protocol.tokens import PREFIX as TOKEN_PREFIX
from kallback.protocol.values.nesting import is_nested_deeper
from kallback.protocol.values.recursion import with_room

_PREFIXES: Final = (TOKEN_PREFIX, AWAKEABLE_PREFIX)
_FAILED: Final = (b"failed",)
_NOT_TEXT: Final = b"?"
"""In place of a status that is not text: unknown in any case."""
_TOO_LONG: Final = object()
_UNSET: Final = (b"", b"null")
"""Members of an event that it does not have: the JSON format allows null for an attribute that is not set (2.2)."""
_PLAIN_TEXT: Final = "text/plain"
_NOT_JSON: Final = b"?"
"""In place of data that is not base64: unusable in any case."""
_MAX_NESTING: Final = 1000
"""Levels of the whole value; an answer may have 500."""
_LONGEST_TEXT: Final = 4096
"""Bytes of a member that is looked at, far more than a token: a megabyte of empty lists takes 20 MiB if it is built."""


class StructuredResult(msgspec.Struct, frozen=True, gc=False):
    """What a value says of itself.

    Attributes:
        token: not verified; empty if a CloudEvent has none.
        statuses: at most one; none means completed, unless the type of an event says something else.
        body: the answer, unchecked.
        convention: kallback for structured mode.
        version: of structured mode, unchecked.
        event_type: of a CloudEvent.
    """

    token: str
    statuses: tuple[bytes, ...]
    body: bytes
    convention: Convention
    version: object = 1
    event_type: bytes = b""


class _Head(msgspec.Struct):
    """The `kallback` member of structured mode; wrong types are looked at after the token is verified."""

    token: str
    version: msgspec.Raw = msgspec.Raw(b"1")
    status: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"")


class _Value(msgspec.Struct):
    kallback: _Head | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: msgspec.Raw = msgspec.Raw(b"")
    specversion: msgspec.Raw = msgspec.Raw(b"")
    datacontenttype: msgspec.Raw = msgspec.Raw(b"")
    type: msgspec.Raw = msgspec.Raw(b"")
    correlationid: msgspec.Raw = msgspec.Raw(b"")
    kallbackstatus: msgspec.Raw = msgspec.Raw(b"")


_VALUE: Final = msgspec.json.Decoder(_Value)
_ANYTHING: Final = msgspec.json.Decoder()


def read_structured(value: bytes | None) -> StructuredResult | None:
    """Return what a value with a token says; None if it has none."""
    found = _parsed(value)
    if found is None:
        return None
    if isinstance(found.kallback, _Head):
        return _own(found.kallback, found.data)
    event = _event(found)
    return event if event is not None and event.token.startswith(_PREFIXES) else None


def read_event(value: bytes) -> StructuredResult | None:
    """Return what a CloudEvent in structured mode says, with or without a token; None if the value is no CloudEvent."""
    found = _parsed(value)
    return None if found is None else _event(found)


def _parsed(value: bytes | None) -> _Value | None:
    if not value:
        return None
    try:
        value.decode()  # msgspec lets broken UTF-8 through where it skips
        if is_nested_deeper(value, _MAX_NESTING):  # how deep msgspec itself goes depends on the version of Python
            return None
        return with_room(lambda: _VALUE.decode(value))  # it skips the answer, which is looked at behind the token
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _own(head: _Head, data: msgspec.Raw) -> StructuredResult:
    status = _short(head.status)
    statuses = () if status is None else (status.encode() if isinstance(status, str) else _NOT_TEXT,)
    body = bytes(head.error) or bytes(data) if statuses == _FAILED else bytes(data)
    return StructuredResult(head.token, statuses, body, Convention.KALLBACK, _short(head.version))


def _event(found: _Value) -> StructuredResult | None:
    if not _text(found.specversion):
        return None
    status = _text(found.kallbackstatus)
    is_set = bytes(found.kallbackstatus) not in _UNSET
    return StructuredResult(
        _text(found.correlationid),
        (status.encode() if status else _NOT_TEXT,) if is_set else (),
        _data(found),
        Convention.CLOUDEVENTS,
        event_type=_text(found.type).encode(),
    )


def _data(found: _Value) -> bytes:
    """The data of an event, as in binary mode: bytes with the content type of a text may lack its quotes."""
    data = bytes(found.data)
    if data not in _UNSET or bytes(found.data_base64) in _UNSET:
        return data
    decoded = _from_base64(found.data_base64)
    is_text = _text(found.datacontenttype).strip().lower().startswith(_PLAIN_TEXT)
    return text_without_quotes(decoded) if is_text else decoded


def _text(raw: msgspec.Raw) -> str:
    """Return a short text; empty for everything else."""
    found = _short(raw)
    return found if isinstance(found, str) else ""


def _short(raw: msgspec.Raw) -> object:
    """Return a member that is short; `_TOO_LONG` for any other, and for what cannot be read."""
    data = bytes(raw)
    try:
        return _ANYTHING.decode(data) if len(data) <= _LONGEST_TEXT else _TOO_LONG
    except (msgspec.DecodeError, RecursionError):
        return _TOO_LONG


def _from_base64(raw: msgspec.Raw) -> bytes:
    data = bytes(raw)
    try:
        return base64.b64decode(data[1:-1], validate=True) if data.startswith(b'"') else _NOT_JSON
    except binascii.Error:
        return _NOT_JSON
