"""Kafka's record batches (format 2), decoded one record at a time: for batches that aiokafka cannot decode.

aiokafka decodes a batch from its beginning and gives the whole batch up where one record is wrong, such as a header
name that is not UTF-8, and then reads the same batch again, for ever. Here the records before and after it are decoded,
and the wrong one is an unreadable record; a batch that cannot be decompressed is one unreadable record of its offset
range. Format: https://kafka.apache.org/documentation/#recordbatch. Pure but for the codecs of aiokafka.
"""

# aiokafka ships no py.typed:
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from kallback.kafka.records import Record, TopicPartition, Unreadable, unreadable_record

from aiokafka import codec  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_OVERHEAD: Final = 12  # base offset and length itself are not counted in a batch's length
_FORMAT: Final = 2
_CODEC_MASK: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
_MAX_VARINT_BYTES: Final = 10

_DECOMPRESS: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    0: bytes,
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


class _BatchHeader(NamedTuple):
    """The fields of a batch header in their order on the wire."""

    base_offset: int
    length: int
    leader_epoch: int
    format: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1


class FetchedBytes(NamedTuple):
    """What a fetch returned of one partition: record batches, and (producer id, first offset) of what was aborted."""

    data: bytes
    aborted: Sequence[tuple[int, int]]


def decode_batches(fetched: FetchedBytes, partition: TopicPartition, position: int) -> list[Record]:
    """Decode batches from `position` on, up to the end of the first one that holds an unreadable record.

    Records of aborted transactions are left out, as by aiokafka.

    Returns:
        The records, of epoch 0, in order. Those of older formats are none: nothing in them can be unreadable.
    """
    aborted = sorted(fetched.aborted, key=lambda each: each[1])
    aborting: set[int] = set()
    found: list[Record] = []
    for header, body in _batches(fetched.data):
        while aborted and aborted[0][1] <= header.base_offset:
            aborting.add(aborted.pop(0)[0])
        if header.attributes & _CONTROL:
            aborting.discard(header.producer_id)  # its transaction is over
            continue
        if header.next_offset <= position or (header.attributes & _TRANSACTIONAL and header.producer_id in aborting):
            continue
        found += _records(header, body, partition, position)
        if any(each.unreadable is not None for each in found):
            break
    return found


def _batches(data: bytes) -> Iterator[tuple[_BatchHeader, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        header = _BatchHeader._make(_HEADER.unpack_from(data, at))
        end = at + _LENGTH_OVERHEAD + header.length
        if header.format != _FORMAT or end > len(data):  # an older format, or a batch that is cut off
            return
        yield header, data[at + _HEADER.size : end]
        at = end


def _records(header: _BatchHeader, body: bytes, partition: TopicPartition, position: int) -> list[Record]:
    first = max(header.base_offset, position)
    try:
        cursor = _Cursor(_DECOMPRESS[header.attributes & _CODEC_MASK](body))
        found = [_record(cursor, header, partition) for _ in range(header.records)]
    except Exception as error:  # noqa: BLE001 - codecs raise errors of their own, and broken lengths any
        why = Unreadable(f"a record batch cannot be decoded ({type(error).__name__})", header.next_offset - first)
        return [unreadable_record(partition, first, 0, why)]
    return [each for each in found if each.offset >= position]


def _record(cursor: _Cursor, header: _BatchHeader, partition: TopicPartition) -> Record:
    end = cursor.varint() + cursor.at
    cursor.at += 1  # attributes, unused
    delta = cursor.varint()
    stamp = header.max_timestamp if header.attributes & _LOG_APPEND_TIME else header.first_timestamp + delta
    offset = header.base_offset + cursor.varint()
    key, value = cursor.data(), cursor.data()
    raw = [(cursor.data() or b"", cursor.data()) for _ in range(cursor.varint())]
    if cursor.at != end:
        raise ValueError("a record does not fill its length")
    try:
        headers = tuple((name.decode(), content) for name, content in raw)
    except UnicodeDecodeError:
        return unreadable_record(partition, offset, 0, Unreadable("a header name is not UTF-8"))
    return Record(partition.topic, partition.partition, offset, stamp, key, value, headers)


class _Cursor:
    """A position in the bytes of a batch."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.at = 0

    def varint(self) -> int:
        """Read a zigzag number."""
        number = 0
        for shift in range(0, 7 * _MAX_VARINT_BYTES, 7):
            byte = self._body[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follows
                return number >> 1 ^ -(number & 1)
        raise ValueError("a number is longer than any offset")

    def data(self) -> bytes | None:
        """Read bytes with their length in front; a negative length is null."""
        length = self.varint()
        if length < 0:
            return None
        found = self._body[self.at : self.at + length]
        if len(found) < length:
            raise ValueError("a field reaches beyond its batch")
        self.at += length
        return found
