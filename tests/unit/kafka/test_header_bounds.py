"""Of a record whose headers are beyond the bounds of the wire, a consumer hands out its position."""

from __future__ import annotations

import pytest

from kallback.kafka import TOO_MANY_HEADERS, Record, TopicPartition
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.header_bounds import excess_on_the_wire
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.records import Headers
from kallback.protocol.headers import MAX_HEADER_BYTES, MAX_HEADERS

PARTITION = TopicPartition("topic", 0)
MANY: Headers = (("n", None),) * (MAX_HEADERS + 1)
LARGE: Headers = (("n", bytes(MAX_HEADER_BYTES)),)


def handed_out(record: Record) -> Record:
    """The record as a consumer of any client hands it out."""
    buffer = RecordBuffer(ConsumerOptions(), lambda: None)
    buffer.assign([PARTITION])
    buffer.put(PARTITION, [record])
    (taken,) = buffer.take(1)
    return taken


@pytest.mark.parametrize("headers", [MANY, LARGE])
def test_only_the_position_is_handed_out(headers: Headers) -> None:
    """With the reason, and the time of the record; nothing large is held."""
    taken = handed_out(Record("topic", 0, 7, 1234, b"key", b"value", headers, size=1_000_000))
    assert (taken.offset, taken.timestamp_ms, taken.next_offset) == (7, 1234, 8)
    assert (taken.key, taken.value, taken.headers, taken.size) == (None, None, (), 0)
    assert taken.unreadable is not None
    assert taken.unreadable.reason == TOO_MANY_HEADERS


@pytest.mark.parametrize("headers", [MANY[1:], (("n", bytes(MAX_HEADER_BYTES - 1)),)])
def test_a_record_within_the_bounds_is_handed_out_whole(headers: Headers) -> None:
    """However large its value is."""
    record = Record("topic", 0, 7, 1234, b"key", bytes(1_000_000), headers)
    assert handed_out(record) == record


def test_lengths_on_the_wire_do_not_count_as_bytes_of_headers() -> None:
    """What is allowed is never refused before it is decoded."""
    assert excess_on_the_wire(MAX_HEADERS, MAX_HEADER_BYTES + 4 * MAX_HEADERS) is None
    assert excess_on_the_wire(1, 2 * MAX_HEADER_BYTES) is not None
