"""Reads JSON from outside into a struct with the same verdict everywhere: too deep is too deep on every interpreter.

How deep msgspec reads, also where it skips members that are not known, depends on the version of Python and on the
calls around it.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from kallback.protocol.values.codecs import MAX_NESTING
from kallback.protocol.values.nesting import is_nested_deeper
from kallback.protocol.values.recursion import with_room

Value = TypeVar("Value")
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number of 64 bits, as Kafka's are. JSON has longer ones: their thousand digits would be shown, or cannot be
written again."""
EpochMs = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""A time in milliseconds, until the year 9999. Kafka takes some negative ones for questions of another kind."""


class NestedTooDeepError(msgspec.DecodeError):
    """JSON is nested deeper than it may be."""


def read_json(decoder: msgspec.json.Decoder[Value], data: bytes, *, limit: int = MAX_NESTING) -> Value:
    """Return what JSON says.

    Args:
        decoder: of what it should be.
        data: what came.
        limit: how deep it may be nested.

    Raises:
        NestedTooDeepError: it is nested deeper.
        msgspec.DecodeError: it is no JSON, or says something else.
        UnicodeDecodeError: it is no UTF-8.
    """
    if is_nested_deeper(data, limit):
        raise NestedTooDeepError(f"JSON nested deeper than {limit}")
    return with_room(lambda: decoder.decode(data))
