"""Kafka's record batches (format 2) as bytes: where batches, records and their fields begin and end. Pure.

Format: https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_OVERHEAD: Final = 12  # base offset and length itself are not counted in a batch's length
_CHECKED_FROM: Final = 21  # the checksum covers what follows it
_FORMAT: Final = 2
_FORMAT_AT: Final = 16  # in all formats
_CODEC_MASK: Final = 0x07
_MAX_VARINT_BYTES: Final = 10
LOG_APPEND_TIME: Final = 0x08
TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20


Body = bytes | memoryview
"""The records of a batch, not compressed."""


class BatchHeader(NamedTuple):
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
        """The offset behind the batch."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        """The number of the codec; 0: not compressed."""
        return self.attributes & _CODEC_MASK


class Batch(NamedTuple):
    """One whole batch in the bytes of a fetch."""

    header: BatchHeader
    data: memoryview

    @property
    def body(self) -> bytes:
        """The records, compressed if the header says so."""
        return bytes(self.data[_HEADER.size :])

    @property
    def checked(self) -> memoryview:
        """What the checksum covers."""
        return self.data[_CHECKED_FROM:]

    def with_body(self, body: Body, *, records: int | None = None) -> bytes:
        """Return the batch with another body, which is not compressed; the checksum stays the old one."""
        header = self.header._replace(
            length=_HEADER.size - _LENGTH_OVERHEAD + len(body),
            attributes=self.header.attributes & ~_CODEC_MASK,
            records=self.header.records if records is None else records,
        )
        return _HEADER.pack(*header) + body


def batches(data: bytes) -> Iterator[Batch]:
    """Yield each whole batch, up to one of an older format or one that is cut off."""
    view = memoryview(data)
    at = 0
    while at + _HEADER.size <= len(data):
        header = BatchHeader._make(_HEADER.unpack_from(data, at))
        end = at + _LENGTH_OVERHEAD + header.length
        if header.format != _FORMAT or not at + _HEADER.size <= end <= len(data):
            return
        yield Batch(header, view[at:end])
        at = end


def is_of_this_format(data: bytes) -> bool:
    """Whether data begins with a batch of format 2, or is too short for one."""
    return len(data) < _HEADER.size or data[_FORMAT_AT] == _FORMAT


def is_compressed(data: bytes) -> bool:
    """Whether one of the batches is compressed."""
    return any(each.header.codec for each in batches(data))


class Cursor:
    """A position in the bytes of a batch."""

    def __init__(self, body: Body, at: int = 0) -> None:
        self._body = body
        self.at = at

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

    def skip(self, length: int) -> None:
        """Go past bytes; a negative length, which means null, has none."""
        self.at += max(0, length)

    def data(self) -> bytes | None:
        """Read bytes with their length in front; a negative length is null."""
        length = self.varint()
        if length < 0:
            return None
        found = bytes(self._body[self.at : self.at + length])
        if len(found) < length:
            raise ValueError("a field reaches beyond its batch")
        self.at += length
        return found


def count_headers(body: Body, records: int) -> int:
    """Count the headers of the records of a body that is not compressed.

    Raises:
        ValueError, IndexError: the body is damaged.
    """
    cursor, count = Cursor(body), 0
    for _ in range(records):
        end = cursor.varint() + cursor.at
        cursor.skip(1)  # attributes
        cursor.varint()  # timestamp
        cursor.varint()  # offset
        cursor.skip(cursor.varint())  # key
        cursor.skip(cursor.varint())  # value
        count += cursor.varint()
        cursor.at = end
    return count


class RecordLocation(NamedTuple):
    """Where a record lies in a body that is not compressed.

    Attributes:
        begin: of its length.
        content: what follows its length.
        end: of the record.
    """

    begin: int
    content: int
    end: int


def large_records(body: Body, records: int, least: int) -> Iterator[RecordLocation]:
    """Yield where records of `least` bytes and more lie, their length not counted; small ones are gone past.

    Raises:
        ValueError, IndexError: the body is damaged.
    """
    cursor = Cursor(body)
    for _ in range(records):
        begin = cursor.at
        length = cursor.varint()
        content = cursor.at
        cursor.at = end = content + length
        if not begin < end <= len(body):
            raise ValueError("a record reaches beyond its batch")
        if length >= least:
            yield RecordLocation(begin, content, end)


class HeaderSizes(NamedTuple):
    """What is known of a record before its headers are decoded.

    Attributes:
        timestamp: after the first one of its batch, in milliseconds.
        offset: the same, in offsets.
        headers: how many it has.
        size: bytes of all of them, with their lengths.
    """

    timestamp: int
    offset: int
    headers: int
    size: int


def header_sizes(body: Body, record: RecordLocation) -> HeaderSizes:
    """Return the sizes of a record's headers; none of them is looked at.

    Raises:
        ValueError, IndexError: the record is damaged.
    """
    cursor = Cursor(body, record.content + 1)  # behind the attributes
    timestamp, offset = cursor.varint(), cursor.varint()
    cursor.skip(cursor.varint())  # key
    cursor.skip(cursor.varint())  # value
    headers = cursor.varint()
    return HeaderSizes(timestamp, offset, headers, record.end - cursor.at)


def replaced(body: Body, replacements: Iterable[tuple[RecordLocation, bytes]]) -> bytes:
    """Return a body with other bytes in place of some records, which come in their order."""
    pieces: list[Body] = []
    at = 0
    for record, replacement in replacements:
        pieces += (body[at : record.begin], replacement)
        at = record.end
    return b"".join((*pieces, body[at:]))
