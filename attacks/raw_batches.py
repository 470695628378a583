"""Record batches byte for byte, as any client could write them: codecs, header names and sizes that ours refuse.

The format is version 2 of Kafka's record batch. Values are streamed into the codec (but for zstd), so that a batch that
unfolds to hundreds of megabytes is made in little memory. Pure.
"""

# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

import cramjam
from aiokafka.record.util import calc_crc32c
from typing_extensions import Buffer

_CHUNK: Final = 1024 * 1024
_SNAPPY_BLOCK: Final = 32 * 1024
_SNAPPY_HEADER: Final = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)


class Codec(IntEnum):
    """The codecs of a batch, by their number on the wire."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


@dataclass(frozen=True, slots=True)
class Filling:
    """A value of one repeated byte, which is never in memory as a whole."""

    size: int
    byte: bytes = b"\x00"

    def chunks(self) -> Iterator[bytes]:
        """Its content."""
        whole, rest = divmod(self.size, _CHUNK)
        chunk = self.byte * min(_CHUNK, self.size)
        for _ in range(whole):
            yield chunk
        yield self.byte * rest


Value = bytes | Filling | None


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record of a batch.

    Attributes:
        headers: names as bytes: they need not be UTF-8.
        timestamp_delta: milliseconds after the batch's own.
    """

    value: Value = None
    key: Value = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()
    timestamp_delta: int = 0


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> object: ...

    def finish(self) -> Buffer: ...


def batch(
    records: Iterable[RawRecord], codec: Codec = Codec.NONE, *, timestamp_ms: int | None = None, attributes: int = 0
) -> bytes:
    """Encode one batch; `attributes` are bits beside the codec's."""
    count, parts = 0, _codec(codec)
    body = bytearray()
    for record in records:
        for chunk in _record(count, record):
            body += parts.compress(chunk)
        count += 1
    body += parts.finish()
    now = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    head = struct.pack(">hiqqqhii", int(codec) | attributes, count - 1, now, now, -1, -1, -1, count)
    checked = head + bytes(body)
    crc: int = calc_crc32c(checked)
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, 2, crc) + checked


def varint(number: int) -> bytes:
    """Encode a signed number as Kafka's records do (zigzag)."""
    left = (number << 1) ^ (number >> 63)
    out = bytearray()
    while left > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


def _record(number: int, record: RawRecord) -> Iterator[bytes]:
    parts: list[bytes | Filling] = [b"\x00", varint(record.timestamp_delta), varint(number)]
    parts += [*_field(record.key), *_field(record.value), varint(len(record.headers))]
    for name, value in record.headers:
        parts += [varint(len(name)), name, *_field(value)]
    yield varint(sum(_size(part) for part in parts))
    small = bytearray()
    for part in parts:
        if isinstance(part, Filling):
            yield bytes(small)
            small.clear()
            yield from part.chunks()
        else:
            small += part
    yield bytes(small)


def _field(content: Value) -> list[bytes | Filling]:
    return [varint(-1)] if content is None else [varint(_size(content)), content]


def _size(part: bytes | Filling) -> int:
    return part.size if isinstance(part, Filling) else len(part)


class _Stream:
    """A codec as a stream of chunks."""

    def __init__(self, inner: _Compressor) -> None:
        self._inner = inner

    def compress(self, chunk: bytes) -> bytes:
        self._inner.compress(chunk)
        return b""

    def finish(self) -> bytes:
        return bytes(self._inner.finish())


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.compressobj(9, zlib.DEFLATED, 31)

    def compress(self, chunk: bytes) -> bytes:
        return self._inner.compress(chunk)

    def finish(self) -> bytes:
        return self._inner.flush()


class _Zstd:
    """One frame that says its size: librdkafka reads it up to its limit, others up to a third of it."""

    def __init__(self) -> None:
        self._whole = bytearray()

    def compress(self, chunk: bytes) -> bytes:
        self._whole += chunk
        return b""

    def finish(self) -> bytes:
        return bytes(cramjam.zstd.compress(self._whole))


class _Plain:
    def compress(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self) -> bytes:
        return b""


class _Snappy:
    """Blocks with a length before each, as Java's clients write them."""

    def __init__(self) -> None:
        self._begun = False

    def compress(self, chunk: bytes) -> bytes:
        out = bytearray() if self._begun else bytearray(_SNAPPY_HEADER)
        self._begun = True
        for start in range(0, len(chunk), _SNAPPY_BLOCK):
            block = bytes(cramjam.snappy.compress_raw(chunk[start : start + _SNAPPY_BLOCK]))
            out += struct.pack(">i", len(block)) + block
        return bytes(out)

    def finish(self) -> bytes:
        return b""


def _codec(codec: Codec) -> _Stream | _Gzip | _Plain | _Snappy | _Zstd:
    match codec:
        case Codec.GZIP:
            return _Gzip()
        case Codec.SNAPPY:
            return _Snappy()
        case Codec.LZ4:
            return _Stream(cramjam.lz4.Compressor(block_linked=False))
        case Codec.ZSTD:
            return _Zstd()
        case Codec.NONE:
            return _Plain()
