"""Looks at the record batches of a fetch before aiokafka decodes them, so that every batch can be decoded.

aiokafka decompresses whatever a batch unfolds to, and stops for ever at a batch with a wrong checksum. Here a batch is
checked and decompressed up to a bound. A good one is passed on uncompressed; one that cannot be read is replaced by a
batch of the same offsets with one record, the *placeholder*, which becomes an unreadable record. aiokafka goes on
behind it as behind any other. A record whose headers are beyond the bounds of the wire is replaced likewise, before
aiokafka builds an object of each header. A placeholder cannot be forged: its key is drawn anew in each process.

Memory: what is passed on counts against the room of its partition. Batches beyond it are cut off; aiokafka fetches them
again when it has handed out the others. Pure but for the codecs; may run in any thread.
"""

# aiokafka ships no py.typed:
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import secrets
import struct
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from kallback.kafka.aiokafka.batches.batch_format import (
    Batch,
    batches,
    count_headers,
    header_sizes,
    is_of_this_format,
    large_records,
    replaced,
)
from kallback.kafka.aiokafka.batches.bounded_codecs import BatchCodec, UnfoldingSpace, unfold
from kallback.kafka.header_bounds import LEAST_EXCESS_BYTES, excess_on_the_wire, without_content
from kallback.kafka.records import Record, TopicPartition, Unreadable, unreadable_record

from aiokafka.record.util import calc_crc32c  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kallback.kafka.aiokafka.batches.batch_format import Body, RecordLocation

_MARK: Final = secrets.token_bytes(16)
_COUNT: Final = struct.Struct(">q")
_MAX_RECORDS: Final = 50_000
_MAX_HEADERS: Final = 100_000
"""Bounds of a batch that unfolds beyond `ALWAYS_PASSED`: a header of two bytes takes a hundred as a Python object."""
_MAX_DAMAGED: Final = 16  # of one fetch: finding that a batch unfolds too far takes up to 0.1 s
_SEARCHED_FROM: Final = 64 * 1024  # bytes of a batch in which records that are too large are looked for
_UNFOLDED_AT_ONCE: Final = 64 * 1024 * 1024  # bytes of one fetch, whatever is dropped of them: 0.1 to 0.3 s of a thread
_NO_BOUND: Final = sys.maxsize
_ONE_RECORD: Final = 0  # in place of the number of a damaged batch's offsets
ALWAYS_PASSED: Final = 1024 * 1024
"""Bytes of a first batch that are passed on without room: an ordinary batch never waits for other partitions."""


class ScreenLimits(NamedTuple):
    """What is passed on of batches.

    Attributes:
        batch_bytes: that a batch may unfold to.
        record_bytes: larger records are dropped from large batches; None: none is.
        headers: a record whose headers are beyond the bounds of the wire is replaced by a placeholder.
    """

    batch_bytes: int
    record_bytes: int | None = None
    headers: bool = False


class WaitingBatch(NamedTuple):
    """A batch that has found no room, by its first offset, and the bytes that it takes: it is not unfolded in vain."""

    offset: int
    size: int


class Screened(NamedTuple):
    """What is passed on of the data of one partition.

    Attributes:
        damaged: what cannot be read of it.
        waiting: the batch behind it, if there is no room for it.
    """

    data: bytes
    damaged: list[Unreadable]
    waiting: WaitingBatch | None = None

    @property
    def deferred(self) -> bool:
        """Whether nothing is passed on because there is no room."""
        return self.waiting is not None and not self.data


def screened(
    data: bytes,
    position: int,
    limits: ScreenLimits,
    *,
    room: int,
    waiting: WaitingBatch | None = None,
    space: UnfoldingSpace | None = None,
) -> Screened:
    """Return the batches of a fetch as aiokafka can decode them.

    Args:
        data: of one partition.
        position: the offset that was fetched; what lies before it is not looked at.
        limits: of a batch.
        room: bytes that may be passed on; a first batch of `ALWAYS_PASSED` bytes always is.
        waiting: of the fetch before.
        space: into which batches are unfolded; default: one for this call.
    """
    if not is_of_this_format(data):
        return Screened(data, [])
    passed: list[bytes] = []
    damaged: list[Unreadable] = []
    size = unfolded = 0
    growth = 0.0
    space = space or UnfoldingSpace()
    found = list(batches(data))
    for number, batch in enumerate(found):
        left = room - size if passed else max(room, ALWAYS_PASSED)
        if waiting is not None and waiting.offset == batch.header.base_offset and waiting.size > left:
            return Screened(b"".join(passed), damaged, waiting)
        if len(batch.data) * growth > left:
            break  # most likely it finds no room, as it unfolds like the one before it: the next fetch brings it
        read = _read(batch, found[number + 1 : number + 2], position, limits, space)
        if read is None:
            continue
        if len(read.data) > left:
            now_waiting = WaitingBatch(batch.header.base_offset, len(read.data))
            return Screened(b"".join(passed), damaged, now_waiting)
        passed.append(read.data)
        growth = len(read.data) / len(batch.data)
        size += len(read.data)
        unfolded += read.unfolded
        if read.damage is not None:
            damaged.append(read.damage)
        if len(damaged) >= _MAX_DAMAGED or unfolded >= _UNFOLDED_AT_ONCE:
            break
    return Screened(b"".join(passed), damaged)


def as_unreadable(record: Record) -> Record:
    """Return the unreadable record that a placeholder stands for; any other record as it is."""
    if record.key != _MARK or record.value is None:
        return record
    (count,) = _COUNT.unpack_from(record.value)
    detail = record.value[_COUNT.size :].decode()
    if count == _ONE_RECORD:
        return without_content(record, detail)
    why = Unreadable(detail, count, whole_batch=True)
    first = record.offset + 1 - count
    return unreadable_record(TopicPartition(record.topic, record.partition), first, record.epoch, why)


class _Read(NamedTuple):
    """A batch as it is passed on, how many bytes it unfolds to, and what is wrong with it."""

    data: bytes
    unfolded: int
    damage: Unreadable | None = None


def _read(
    batch: Batch, followers: Sequence[Batch], position: int, limits: ScreenLimits, space: UnfoldingSpace
) -> _Read | None:
    """Return None for a batch that lies before the position."""
    header, end = batch.header, batch.header.next_offset
    if calc_crc32c(bytes(batch.checked)) != header.crc:  # then its own length in offsets is not to be relied on
        follower = followers[0].header.base_offset if followers else end
        return _replaced(batch, position, max(follower, position + 1), "its checksum does not match its bytes", 0)
    return _decompressed(batch, position, limits, space) if end > position else None


def _decompressed(batch: Batch, position: int, limits: ScreenLimits, space: UnfoldingSpace) -> _Read:
    try:
        codec = BatchCodec(batch.header.codec)
        if not codec.is_installed:  # aiokafka says what to install
            return _Read(bytes(batch.data), len(batch.data))
        body, records = unfold(codec, batch.body, limits.batch_bytes, space), batch.header.records
        if len(body) > ALWAYS_PASSED:
            _refuse_many_parts(body, records, limits)
        replacements = list(_replacements(body, records, limits))
        if replacements:
            records -= sum(not replacement for _, replacement in replacements)
            return _Read(batch.with_body(replaced(body, replacements), records=records), len(body))
        return _Read(bytes(batch.data) if codec is BatchCodec.NONE else batch.with_body(body), len(body))
    except Exception as error:  # noqa: BLE001 - codecs raise errors of their own
        return _replaced(batch, position, batch.header.next_offset, f"{error}", limits.batch_bytes)


def _refuse_many_parts(body: Body, records: int, limits: ScreenLimits) -> None:
    if records > _MAX_RECORDS:
        raise ValueError(f"it unfolds to {len(body)} bytes of more than {_MAX_RECORDS} records")
    if not limits.headers and count_headers(body, records) > _MAX_HEADERS:
        raise ValueError(f"it unfolds to {len(body)} bytes with more than {_MAX_HEADERS} headers")


def _replacements(body: Body, records: int, limits: ScreenLimits) -> Iterator[tuple[RecordLocation, bytes]]:
    """Yield the records that are not passed on, and what is in their place: nothing, or a placeholder."""
    most = limits.record_bytes if limits.record_bytes is not None and len(body) > _SEARCHED_FROM else _NO_BOUND
    least = min(most, LEAST_EXCESS_BYTES) if limits.headers else most
    for record in large_records(body, records, least) if len(body) >= least else ():
        if record.end - record.content > most:
            yield record, b""
        elif limits.headers:
            sizes = header_sizes(body, record)
            if (excess := excess_on_the_wire(sizes.headers, sizes.size)) is not None:
                yield record, _placeholder(sizes.timestamp, sizes.offset, _ONE_RECORD, excess)


def _replaced(batch: Batch, position: int, end: int, why: str, unfolded: int) -> _Read:
    """Return the placeholder of a batch, whose one record has the last offset, so that reading goes on behind it."""
    base = batch.header.base_offset
    damage = Unreadable(f"a record batch cannot be read: {why}", end - max(base, position), whole_batch=True)
    body = _placeholder(0, end - 1 - base, damage.count, damage.detail)
    moved = batch._replace(header=batch.header._replace(last_offset_delta=end - 1 - base))
    return _Read(moved.with_body(body, records=1), unfolded, damage)


def _placeholder(timestamp: int, offset: int, count: int, detail: str) -> bytes:
    """Return a placeholder as a record; timestamp and offset are those after the first ones of its batch."""
    fields = _sized(_MARK) + _sized(_COUNT.pack(count) + detail.encode())
    record = b"\0" + _varint(timestamp) + _varint(offset) + fields + _varint(0)
    return _varint(len(record)) + record


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """Return a number as Kafka writes it: zigzag, seven bits a byte."""
    rest = number << 1 ^ number >> 63
    written = bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - the high bit says that more follows
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*written, rest])
