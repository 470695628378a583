"""Awakeable ids: Restate's names for durable promises, checked before anything is sent to Restate.

An id is `sign_1` and the unpadded base64url of 28 bytes: a 24-byte invocation id and a big-endian 32-bit signal
index (read in Restate's sources, confirmed on restate-server 1.7.12). Signals below 17 are Restate's own: posting
to index 1 *cancels the invocation*, and the ingress answers 202 for it. So an id is accepted in its canonical
form only, and never with a reserved index.
"""

from __future__ import annotations

import base64
import re
import string
from functools import lru_cache
from typing import Final, NamedTuple, NewType

from kallback.protocol.errors import InvalidAwakeableIdError

AwakeableId = NewType("AwakeableId", str)

PREFIX: Final = "sign_1"
FIRST_USER_SIGNAL: Final = 17
_SHAPE: Final = re.compile(r"sign_1([A-Za-z0-9_-]{38})", re.ASCII)
_BASE62: Final = string.digits + string.ascii_lowercase + string.ascii_uppercase
_PARTITION_KEY_BYTES: Final = 8
_PARTITION_KEY_WIDTH: Final = 11
_UUID_WIDTH: Final = 22
_INVOCATION: Final = re.compile(
    rf"inv_1([0-9A-Za-z]{{{_PARTITION_KEY_WIDTH}}})([0-9A-Za-z]{{{_UUID_WIDTH}}})", re.ASCII
)
_UUID_BYTES: Final = 16
_SIGNAL_BYTES: Final = 4
_SIGNAL_WIDTH: Final = 6
_CANONICAL_ENDS: Final = "AQgw"


def parse_awakeable_id(text: str) -> AwakeableId:
    """Check an awakeable id.

    Raises:
        InvalidAwakeableIdError: with reason `invalid-awakeable-id` or `reserved-signal`.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise InvalidAwakeableIdError(
            "invalid-awakeable-id", "not an awakeable id: expected sign_1 and 38 base64url characters"
        )
    return check_shaped(text)


def check_shaped(text: str) -> AwakeableId:
    """Check what has the shape of an awakeable id already; raises as `parse_awakeable_id`.

    The last of the 38 characters holds two bits of the id, so four characters are canonical there; the last six are
    the signal index.
    """
    tail = text[-_SIGNAL_WIDTH:]
    if tail[-1] not in _CANONICAL_ENDS:
        raise InvalidAwakeableIdError("invalid-awakeable-id", "not the canonical form of an awakeable id")
    if _signal_index(tail) < FIRST_USER_SIGNAL:
        raise InvalidAwakeableIdError(
            "reserved-signal",
            f"the signal index is below {FIRST_USER_SIGNAL}: Restate keeps those for itself",
        )
    return AwakeableId(text)


@lru_cache(maxsize=1024)  # handlers have few awakeables each, so the same few indices come again and again
def _signal_index(tail: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(tail + "=="), "big")


class AwakeablePlace(NamedTuple):
    """Where an awakeable lives: the invocation that waits, as Restate's own tools name it, and its signal."""

    invocation_id: str
    signal_index: int


def locate_awakeable(awakeable_id: AwakeableId) -> AwakeablePlace:
    """Decode a checked id.

    Restate writes an invocation id as `inv_1`, then the partition key (8 bytes) and a UUID (16 bytes), little-endian
    numbers in base62 of a fixed width (found by comparing ids of restate-server 1.7.12).
    """
    raw = base64.urlsafe_b64decode(awakeable_id.removeprefix(PREFIX) + "==")
    key, uuid, signal = raw[:_PARTITION_KEY_BYTES], raw[_PARTITION_KEY_BYTES:24], raw[24:28]
    invocation = "inv_1" + _base62(key, _PARTITION_KEY_WIDTH) + _base62(uuid, _UUID_WIDTH)
    return AwakeablePlace(invocation, int.from_bytes(signal, "big"))


def awakeable_at(place: AwakeablePlace) -> AwakeableId:
    """The id of an awakeable whose place is known: the reverse of `locate_awakeable`.

    Raises:
        InvalidAwakeableIdError: what should be an invocation id is none, or the signal is one that Restate reserves.
    """
    shape = _INVOCATION.fullmatch(place.invocation_id)
    if shape is None:
        raise InvalidAwakeableIdError("invalid-awakeable-id", "not an invocation id: expected inv_1 and 33 characters")
    try:
        key = _from_base62(shape[1]).to_bytes(_PARTITION_KEY_BYTES, "little")
        uuid = _from_base62(shape[2]).to_bytes(_UUID_BYTES, "little")
        raw = key + uuid + place.signal_index.to_bytes(_SIGNAL_BYTES, "big")
    except OverflowError:
        raise InvalidAwakeableIdError("invalid-awakeable-id", "a number in it is too large") from None
    return parse_awakeable_id(PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


def _from_base62(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 62 + _BASE62.index(digit)
    return number


def _base62(data: bytes, width: int) -> str:
    number, digits = int.from_bytes(data, "little"), ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
