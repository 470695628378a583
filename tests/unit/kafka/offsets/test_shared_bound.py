"""One bound for what is buffered of all partitions together, and what counts of a record."""

from __future__ import annotations

import tracemalloc

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.history import UNKNOWN_START
from kallback.kafka.offsets.metadata_buffer import MetadataBuffer, new_record_buffer
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.records import HEADER_BYTES, RECORD_BYTES, size_of

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)
TOTAL = 100 + 2 * RECORD_BYTES
OPTIONS = ConsumerOptions(buffer_records=100, buffer_bytes=1000, buffer_bytes_total=TOTAL)


@pytest.fixture(params=[RecordBuffer, MetadataBuffer])
def buffer(request: pytest.FixtureRequest) -> RecordBuffer:
    """A buffer of at most 100 bytes beside those of two empty records; it owns A and B."""
    kind: type[RecordBuffer] = request.param
    made = kind(OPTIONS, lambda: None)
    made.restore({A: UNKNOWN_START, B: UNKNOWN_START})
    made.assign([A, B])
    return made


def record(partition: TopicPartition, offset: int, size: int) -> Record:
    """A record whose value has that many bytes, of the first assignment."""
    return Record("t", partition.partition, offset, 0, None, b"x" * size, (), partition.partition + 1)


def test_all_partitions_with_records_are_full_at_the_bound(buffer: RecordBuffer) -> None:
    """Two partitions far below their own bounds are too much together."""
    buffer.put(A, [record(A, 0, 60)])
    assert not buffer.is_full(A)
    buffer.put(B, [record(B, 0, 60)])
    assert buffer.is_full(A)
    assert buffer.is_full(B)
    assert buffer.bytes_free == 0


def test_an_empty_partition_is_never_full(buffer: RecordBuffer) -> None:
    """One partition of large records does not stop the others."""
    buffer.put(A, [record(A, 0, 500)])
    assert buffer.is_full(A)
    assert not buffer.is_full(B)
    assert buffer.is_low(B)


def test_what_is_taken_revoked_or_lost_is_free_again(buffer: RecordBuffer) -> None:
    """Every way out of the buffer gives its bytes back."""
    buffer.put(A, [record(A, 0, 40), record(A, 1, 10)])
    buffer.put(B, [record(B, 0, 30)])
    buffer.take(1)
    buffer.stop_handing_out([B])
    buffer.forget([A, B])
    assert buffer.bytes_free == TOTAL


def test_headers_count() -> None:
    """A record may be all headers: a bound on keys and values alone would not bound anything."""
    large = Record("t", 0, 0, 0, b"kk", b"vvv", (("name", b"12345"), ("n", None)))
    assert size_of(large) == RECORD_BYTES + 2 * HEADER_BYTES + 2 + 3 + 4 + 5 + 1


def test_a_record_takes_no_more_memory_than_is_counted() -> None:
    """A header of two bytes takes a hundred: without the objects around them, a bound would be ten times too high."""
    headers = [(f"{number:05}", b"%05d" % number) for number in range(10_000)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = Record("t", 0, 2**40, 2**40, b"key", None, tuple((name + "x", value + b"x") for name, value in headers))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before <= size_of(kept) <= 2 * (after - before)


@pytest.mark.parametrize("metadata", [False, True])
def test_epochs_of_two_consumers_differ(metadata: bool) -> None:  # noqa: FBT001 - the parameter of the test
    """A record of a consumer that was replaced is not settled at its successor."""
    options = ConsumerOptions(commit_metadata=metadata)
    first, second = (new_record_buffer(options, lambda: None, lambda: 0.0) for _ in range(2))
    old, new = first.assign([A])[A], second.assign([A])[A]
    assert old != new
    second.put(A, [Record("t", 0, 0, 0, None, b"", (), new)])
    second.take(1)
    second.done(Record("t", 0, 0, 0, None, b"", (), old))
    assert second.unfinished() == 1
