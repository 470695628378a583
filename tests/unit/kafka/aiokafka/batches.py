"""Record batches as a broker returns them, also such as no honest producer writes."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import cramjam
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEADER_BYTES: Final = 61
CHECKED_FROM: Final = 21
CODECS: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    1: gzip.compress,
    2: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    3: lambda data: bytes(cramjam.lz4.compress(data)),
    4: lambda data: bytes(cramjam.zstd.compress(data)),
}

Headers = Sequence[tuple[str, bytes | None]]


def plain_batch(*values: bytes, base: int = 0, headers: Headers = ()) -> bytes:
    """A batch that is not compressed."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 1_000_000_000)
    for number, value in enumerate(values):
        builder.append(number, 1000 + number, b"k", value, list(headers))
    data = bytearray(builder.build())
    data[0:8] = base.to_bytes(8, "big")
    return bytes(data)


def with_body(batch: bytes, body: bytes, codec: int) -> bytes:
    """The batch with another body, with the right length and checksum."""
    data = bytearray(batch[:HEADER_BYTES] + body)
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    data[22] = data[22] & ~7 | codec
    data[17:21] = calc_crc32c(bytes(data[CHECKED_FROM:])).to_bytes(4, "big")
    return bytes(data)


def compressed_batch(codec: int, *values: bytes, base: int = 0, headers: Headers = ()) -> bytes:
    """A compressed batch, however little there is to gain."""
    batch = plain_batch(*values, base=base, headers=headers)
    return with_body(batch, CODECS[codec](batch[HEADER_BYTES:]), codec)
