"""Frames of HTTP/2: cut out of bytes however these arrive, and written. Pure (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_SIZE: Final = 9
FRAME_SIZE: Final = 16_384
"""The longest payload that is read, and the least that each side must read."""
LARGEST_WINDOW: Final = 2**31 - 1
LAST_STREAM: Final = 2**31 - 1

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

_HEAD: Final = struct.Struct(">BHBBL")
_LONG: Final = struct.Struct(">L")
_SETTING: Final = struct.Struct(">HL")
_PRIORITY_SIZE: Final = 5


class Code(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    ENHANCE_YOUR_CALM = 0xB
    HTTP_1_1_REQUIRED = 0xD


class ViolationError(Exception):
    """The other side broke the protocol: the connection cannot go on."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code = code


class Frame(NamedTuple):
    """One frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class FrameReader:
    """Cuts frames out of what was received; holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete now.

        Raises:
            ViolationError: a frame is longer than `FRAME_SIZE`; the frames before it are lost, as the connection is.
        """
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        at, size, unpack = 0, len(data), _HEAD.unpack_from
        while size - at >= HEAD_SIZE:
            high, low, kind, flags, stream = unpack(data, at)
            if high or low > FRAME_SIZE:
                raise ViolationError(Code.FRAME_SIZE_ERROR, "a frame is too long")
            end = at + HEAD_SIZE + low
            if end > size:
                break
            frames.append(Frame(kind, flags, stream & LAST_STREAM, data[at + HEAD_SIZE : end]))
            at = end
        self._rest = data[at:]
        return frames


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    size = len(payload)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def content(of: Frame) -> bytes:
    """Return the payload of a DATA or HEADERS frame without padding and priority.

    Raises:
        ViolationError: there is more padding than payload.
    """
    payload, first, last = of.payload, 0, 0
    if of.flags & PADDED:
        if not payload:
            raise ViolationError(Code.FRAME_SIZE_ERROR, "a padded frame is empty")
        first, last = 1, payload[0]
    if of.kind == HEADERS and of.flags & WITH_PRIORITY:
        first += _PRIORITY_SIZE
    if first + last > len(payload):
        raise ViolationError(Code.PROTOCOL_ERROR, "a frame holds more padding than bytes")
    return payload[first : len(payload) - last]


def settings(values: dict[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values.items()))


def settings_of(of: Frame) -> list[tuple[int, int]]:
    """Return what a SETTINGS frame says, in its order.

    Raises:
        ViolationError: its length is wrong.
    """
    if len(of.payload) % _SETTING.size:
        raise ViolationError(Code.FRAME_SIZE_ERROR, "a SETTINGS frame has a wrong length")
    return list(_SETTING.iter_unpack(of.payload))


def number(of: Frame, at: int = 0, *, size: int = 4) -> int:
    """Return a 32-bit number in a payload of `size` bytes.

    Raises:
        ViolationError: its length is wrong.
    """
    if len(of.payload) != size:
        raise ViolationError(Code.FRAME_SIZE_ERROR, "a frame has a wrong length")
    found: int = _LONG.unpack_from(of.payload, at)[0]
    return found


def window_update(stream: int, by: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, _LONG.pack(by))


def reset(stream: int, code: Code) -> bytes:
    """Return an RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, _LONG.pack(code))


def goaway(code: Code) -> bytes:
    """Return a GOAWAY frame of a client, which accepts no streams."""
    return frame(GOAWAY, 0, 0, _LONG.pack(0) + _LONG.pack(code))
