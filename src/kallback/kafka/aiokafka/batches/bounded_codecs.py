"""Kafka's codecs with a bound: nothing is decompressed beyond it, whatever the compressed bytes say.

aiokafka decompresses a batch whole, and 0.3 MB of gzip can unfold to 300 MB. Here each codec stops at the bound, before
more memory is taken. Pure but for the codec libraries; may run in any thread.
"""

# aiokafka and cramjam have no types:
# pyright: reportMissingTypeStubs=false
# pyright: reportMissingModuleSource=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from aiokafka import codec  # isort: skip - the check comes first

try:
    import cramjam
except ModuleNotFoundError:  # aiokafka says what to install, where a batch needs it
    cramjam: Any = None  # type: ignore[no-redef]  # the name for "not installed"

if TYPE_CHECKING:
    from collections.abc import Callable

    from kallback.kafka.aiokafka.batches.batch_format import Body

_GZIP_WINDOW: Final = 31
_LEAST_BUFFER: Final = 64 * 1024
_GUESS: Final = 4  # times the compressed size, and by which a buffer grows
_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = 16
_LENGTH: Final = struct.Struct(">i")


class BatchCodec(IntEnum):
    """The codec in the attributes of a record batch."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @property
    def is_installed(self) -> bool:
        """Whether it can be read here."""
        return getattr(codec, f"has_{self.name.lower()}", _always)()


class UnfoldsTooFarError(ValueError):
    """The bytes unfold beyond the bound."""


class UnfoldingSpace:
    """Memory into which one batch after the other is unfolded: new memory for each takes longer than to unfold it.

    What is returned for one batch is valid until the next one.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def of(self, size: int) -> bytearray:
        """Return memory of at least this many bytes."""
        buffer = self._buffer
        if len(buffer) < size:
            self._buffer = buffer = bytearray()  # freed first: never both
            self._buffer = buffer = bytearray(size)
        return buffer

    @property
    def size(self) -> int:
        """The bytes that there are."""
        return len(self._buffer)

    def release(self) -> None:
        """Free the memory, unless a batch is being unfolded: then when it is done. From any thread."""
        self._buffer = bytearray()


def _always() -> bool:
    return True


def unfold(how: BatchCodec, data: bytes, bound: int, space: UnfoldingSpace) -> Body:
    """Decompress data to `bound` bytes at most; the result is valid until something else is unfolded in that space.

    Raises:
        UnfoldsTooFarError: the result would be larger.
        Exception: the data is damaged; codecs raise errors of their own.
    """
    match how:
        case BatchCodec.NONE:
            return data
        case BatchCodec.GZIP:
            return _gzip(data, bound)
        case BatchCodec.SNAPPY:
            return _snappy(data, bound)
        case BatchCodec.LZ4:
            return _into_space(cramjam.lz4.decompress_into, data, bound, space)
        case BatchCodec.ZSTD:
            return _into_space(cramjam.zstd.decompress_into, data, bound, space)


def _gzip(data: bytes, bound: int) -> bytes:
    """Decompress the members of a gzip file, one after the other."""
    found = b""
    while data:
        member = zlib.decompressobj(_GZIP_WINDOW)
        found += member.decompress(data, bound + 1 - len(found))
        if len(found) > bound:
            raise _too_far(bound)
        if not member.eof:
            raise ValueError("gzip data is cut off")
        data = member.unused_data
    return found


def _snappy(data: bytes, bound: int) -> bytes:
    blocks = list(_xerial_blocks(data)) if data.startswith(_XERIAL_MAGIC) else [data]
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > bound:
        raise _too_far(bound)
    return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)


def _xerial_blocks(data: bytes) -> list[bytes]:
    """Return the blocks of snappy-java's framing: each has its length in front."""
    blocks: list[bytes] = []
    at = _XERIAL_HEADER
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if not 0 <= length <= len(data) - at:
            raise ValueError("a snappy block reaches beyond its batch")
        blocks.append(data[at : at + length])
        at += length
    return blocks


def _into_space(
    decompress_into: Callable[[bytes, bytearray], int], data: bytes, bound: int, space: UnfoldingSpace
) -> memoryview:
    """Decompress into a space that grows up to the bound: neither lz4 nor zstd frames must say how large they are."""
    size = min(bound, max(_LEAST_BUFFER, _GUESS * len(data), space.size))
    while True:
        buffer = space.of(size)
        try:
            length = decompress_into(data, buffer)
        except cramjam.DecompressionError as error:
            if "whole buffer" not in str(error):  # Rust's words for a buffer that is full
                raise
            if size >= bound:
                raise _too_far(bound) from None
            size = min(bound, _GUESS * size)
        else:
            if length > bound:  # the space was made for another bound
                raise _too_far(bound)
            return memoryview(buffer)[:length]


def _too_far(bound: int) -> UnfoldsTooFarError:
    return UnfoldsTooFarError(f"it unfolds to more than {bound} bytes")
