"""Looks at the record batches of a fetch before aiokafka decodes them, so that every batch can be decoded.

aiokafka decompresses whatever a batch unfolds to, and stops for ever at a batch with a wrong checksum. Here a batch is
checked and decompressed up to a bound. A good one is passed on uncompressed; one that cannot be read is replaced by a
batch of the same offsets with one record, the *placeholder*, which becomes an unreadable record. aiokafka goes on
behind it as behind any other. A placeholder cannot be forged: its key is drawn anew in each process.

Memory: what is passed on counts against the room of its partition. Batches beyond it are cut off; aiokafka fetches them
again when it has handed out the others. Pure but for the codecs; may run in any thread.
"""

# aiokafka ships no py.typed:
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import secrets
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from kallback.kafka.aiokafka.batches.batch_format import (
    Batch,
    batches,
    count_headers,
    is_of_this_format,
    without_large_records,
)
from kallback.kafka.aiokafka.batches.bounded_codecs import BatchCodec, unfold
from kallback.kafka.records import Record, TopicPartition, Unreadable, unreadable_record

from aiokafka.record.util import calc_crc32c  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK: Final = secrets.token_bytes(16)
_COUNT: Final = struct.Struct(">q")
_MAX_RECORDS: Final = 50_000
_MAX_HEADERS: Final = 100_000
"""Bounds of a batch that unfolds beyond `ALWAYS_PASSED`: a header of two bytes takes a hundred as a Python object."""
_MAX_DAMAGED: Final = 16  # of one fetch: finding that a batch unfolds too far takes up to 0.1 s
_SEARCHED_FROM: Final = 64 * 1024  # bytes of a batch in which records that are too large are looked for
_UNFOLDED_AT_ONCE: Final = 64 * 1024 * 1024  # bytes of one fetch, whatever is dropped of them: 0.1 to 0.3 s of a thread
ALWAYS_PASSED: Final = 1024 * 1024
"""Bytes of a first batch that are passed on without room: an ordinary batch never waits for other partitions."""


class Screened(NamedTuple):
    """What is passed on of the data of one partition.

    Attributes:
        damaged: what cannot be read of it.
        deferred: nothing is passed on because there is no room.
    """

    data: bytes
    damaged: list[Unreadable]
    deferred: bool = False


def screened(data: bytes, position: int, *, bound: int, room: int, record_bytes: int | None = None) -> Screened:
    """Return the batches of a fetch as aiokafka can decode them.

    Args:
        data: of one partition.
        position: the offset that was fetched; what lies before it is not looked at.
        bound: bytes that a batch may unfold to.
        room: bytes that may be passed on; a first batch of `ALWAYS_PASSED` bytes always is.
        record_bytes: larger records are dropped from large batches; None: none is.
    """
    if not is_of_this_format(data):
        return Screened(data, [])
    passed: list[bytes] = []
    damaged: list[Unreadable] = []
    size = unfolded = 0
    for (batch, why), body_bytes in _readable(data, position, bound, record_bytes):
        if size + len(batch) > (room if passed else max(room, ALWAYS_PASSED)):
            return Screened(b"".join(passed), damaged, deferred=not passed)
        passed.append(batch)
        size += len(batch)
        if why is not None:
            damaged.append(why)
            if len(damaged) >= _MAX_DAMAGED:
                break
        unfolded += body_bytes
        if unfolded >= _UNFOLDED_AT_ONCE:
            break
    return Screened(b"".join(passed), damaged)


def as_unreadable(record: Record) -> Record:
    """Return the unreadable record that a placeholder stands for; any other record as it is."""
    if record.key != _MARK or record.value is None:
        return record
    (count,) = _COUNT.unpack_from(record.value)
    why = Unreadable(record.value[_COUNT.size :].decode(), count, whole_batch=True)
    first = record.offset + 1 - count
    return unreadable_record(TopicPartition(record.topic, record.partition), first, record.epoch, why)


def _readable(
    data: bytes, position: int, bound: int, record_bytes: int | None
) -> Iterator[tuple[tuple[bytes, Unreadable | None], int]]:
    """Yield each batch as it is passed on, what is wrong with it, and how many bytes it unfolds to."""
    found = list(batches(data))
    for number, batch in enumerate(found):
        header, end = batch.header, batch.header.next_offset
        if calc_crc32c(bytes(batch.checked)) != header.crc:  # then its own length in offsets is not to be relied on
            follower = found[number + 1].header.base_offset if number + 1 < len(found) else end
            yield _replaced(batch, position, max(follower, position + 1), "its checksum does not match its bytes"), 0
        elif end > position:
            yield _decompressed(batch, position, bound, record_bytes)


def _decompressed(
    batch: Batch, position: int, bound: int, record_bytes: int | None
) -> tuple[tuple[bytes, Unreadable | None], int]:
    try:
        codec = BatchCodec(batch.header.codec)
        if not codec.is_installed:  # aiokafka says what to install
            return (bytes(batch.data), None), len(batch.data)
        body = unfold(codec, batch.body, bound)
        if len(body) > ALWAYS_PASSED:
            _refuse_many_parts(body, batch.header.records)
        if record_bytes is not None and len(body) > _SEARCHED_FROM:
            kept, count = without_large_records(body, batch.header.records, record_bytes)
            return (batch.with_body(kept, records=count), None), len(body)
        return (bytes(batch.data) if codec is BatchCodec.NONE else batch.with_body(body), None), len(body)
    except Exception as error:  # noqa: BLE001 - codecs raise errors of their own
        return _replaced(batch, position, batch.header.next_offset, f"{error}"), bound


def _refuse_many_parts(body: bytes, records: int) -> None:
    if records > _MAX_RECORDS:
        raise ValueError(f"it unfolds to {len(body)} bytes of more than {_MAX_RECORDS} records")
    if count_headers(body, records) > _MAX_HEADERS:
        raise ValueError(f"it unfolds to {len(body)} bytes with more than {_MAX_HEADERS} headers")


def _replaced(batch: Batch, position: int, end: int, why: str) -> tuple[bytes, Unreadable]:
    """Return the placeholder of a batch, whose one record has the last offset, so that reading goes on behind it."""
    base = batch.header.base_offset
    damage = Unreadable(f"a record batch cannot be read: {why}", end - max(base, position), whole_batch=True)
    fields = _sized(_MARK) + _sized(_COUNT.pack(damage.count) + damage.detail.encode())
    record = b"\0" + _varint(0) + _varint(end - 1 - base) + fields + _varint(0)
    moved = batch._replace(header=batch.header._replace(last_offset_delta=end - 1 - base))
    return moved.with_body(_varint(len(record)) + record, records=1), damage


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """Return a number that is not negative as Kafka writes it: zigzag, seven bits a byte."""
    rest = number << 1
    written = bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - the high bit says that more follows
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*written, rest])
