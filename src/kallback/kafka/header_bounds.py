"""The bounds on the headers of a record, obeyed before anything else of it is looked at. Pure.

Anyone who may write to a topic chooses the number and the bytes of headers, and no program of kallback uses a record
beyond the bounds of the wire. So members of a group hand out its position and the reason only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from kallback.kafka.records import TOO_MANY_HEADERS, Record, Unreadable, size_of
from kallback.protocol.headers import MAX_HEADER_BYTES, MAX_HEADERS, excess, excess_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTHS: Final = 10 * MAX_HEADERS  # bytes that the lengths of so many names and values take on the wire, at most
LEAST_EXCESS_BYTES: Final = 2 * MAX_HEADERS
"""A smaller record is within the bounds: a header takes two bytes on the wire."""


def excess_on_the_wire(count: int, size: int) -> str | None:
    """Say what of a record's headers is beyond the bounds; None if nothing is, or hardly anything.

    Args:
        count: number of headers.
        size: bytes of all of them, with their lengths.
    """
    return None if excess(count, size - _LENGTHS) is None else excess(count, size)


def bounded(records: Sequence[Record]) -> Sequence[Record]:
    """Return records, in place of one whose headers are beyond the bounds its position and the reason."""
    return [_bounded(each) for each in records] if any(map(_may_exceed, records)) else records


def without_content(record: Record, why: str) -> Record:
    """Return the position of a record whose headers are beyond the bounds, with the reason in a sentence."""
    unreadable = Unreadable(why, reason=TOO_MANY_HEADERS)
    return msgspec.structs.replace(record, key=None, value=None, headers=(), size=0, unreadable=unreadable)


def _may_exceed(record: Record) -> bool:
    return len(record.headers) > MAX_HEADERS or size_of(record) > MAX_HEADER_BYTES


def _bounded(record: Record) -> Record:
    why = excess_of(record.headers) if _may_exceed(record) else None
    return record if why is None else without_content(record, why)
