"""Kafka's record batches (format 2), decoded one record at a time: for batches that aiokafka cannot decode.

aiokafka decodes a batch from its beginning and gives the whole batch up where one record is wrong, such as a header
name that is not UTF-8, and then reads the same batch again, for ever. Here the records before and after it are decoded,
and the wrong one is an unreadable record; a batch whose records cannot be told apart is one unreadable record of its
offset range. Batches come here as `batch_screen.py` leaves them: checked and decompressed. Pure. Format:
https://kafka.apache.org/documentation/#recordbatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kallback.kafka.aiokafka.batches.batch_format import (
    CONTROL,
    LOG_APPEND_TIME,
    TRANSACTIONAL,
    BatchHeader,
    Cursor,
    batches,
)
from kallback.kafka.aiokafka.batches.batch_screen import as_unreadable
from kallback.kafka.records import Record, TopicPartition, Unreadable, unreadable_record

if TYPE_CHECKING:
    from collections.abc import Sequence


class FetchedBytes(NamedTuple):
    """What a fetch returned of one partition: record batches, and (producer id, first offset) of what was aborted."""

    data: bytes
    aborted: Sequence[tuple[int, int]]


def decode_batches(fetched: FetchedBytes, partition: TopicPartition, position: int) -> list[Record]:
    """Decode batches from `position` on, up to the end of the first ones in a row that hold unreadable records.

    Each row of them costs one fetch, so that many of them do not. Records of aborted transactions are left out, as by
    aiokafka.

    Returns:
        The records, of epoch 0, in order. Those of older formats are none: nothing in them can be unreadable.
    """
    aborted = sorted(fetched.aborted, key=lambda each: each[1])
    aborting: set[int] = set()
    found: list[Record] = []
    is_damaged = False
    for batch in batches(fetched.data):
        header = batch.header
        while aborted and aborted[0][1] <= header.base_offset:
            aborting.add(aborted.pop(0)[0])
        if header.attributes & CONTROL:
            aborting.discard(header.producer_id)  # its transaction is over
            continue
        if header.next_offset <= position or (header.attributes & TRANSACTIONAL and header.producer_id in aborting):
            continue
        records = _records(header, batch.body, partition, position)
        was_damaged, is_damaged = is_damaged, any(each.unreadable is not None for each in records)
        if was_damaged and not is_damaged:
            break
        found += records
    return found


def _records(header: BatchHeader, body: bytes, partition: TopicPartition, position: int) -> list[Record]:
    first = max(header.base_offset, position)
    try:
        cursor = Cursor(body)
        found = [_record(cursor, header, partition) for _ in range(header.records)]
    except (ValueError, IndexError, OverflowError) as error:
        detail = f"a record batch cannot be decoded ({type(error).__name__})"
        why = Unreadable(detail, header.next_offset - first, whole_batch=True)
        return [unreadable_record(partition, first, 0, why)]
    return [each for each in found if each.offset >= position]


def _record(cursor: Cursor, header: BatchHeader, partition: TopicPartition) -> Record:
    end = cursor.varint() + cursor.at
    cursor.at += 1  # attributes, unused
    delta = cursor.varint()
    stamp = header.max_timestamp if header.attributes & LOG_APPEND_TIME else header.first_timestamp + delta
    offset = header.base_offset + cursor.varint()
    key, value = cursor.data(), cursor.data()
    raw = [(cursor.data() or b"", cursor.data()) for _ in range(cursor.varint())]
    if cursor.at != end:
        raise ValueError("a record does not fill its length")
    try:
        headers = tuple((name.decode(), content) for name, content in raw)
    except UnicodeDecodeError:
        return unreadable_record(partition, offset, 0, Unreadable("a header name is not UTF-8"))
    return as_unreadable(Record(partition.topic, partition.partition, offset, stamp, key, value, headers))
