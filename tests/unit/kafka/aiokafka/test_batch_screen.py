"""What a fetch brings is decompressed within a bound, and what cannot be read is replaced."""

from __future__ import annotations

import tracemalloc
from functools import partial

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kafka.aiokafka.batches import CODECS, HEADER_BYTES, compressed_batch, plain_batch, with_body

from kallback.kafka import Record
from kallback.kafka.aiokafka.batches.batch_format import batches
from kallback.kafka.aiokafka.batches.batch_screen import ALWAYS_PASSED, Screened, as_unreadable, screened
from kallback.kafka.aiokafka.batches.bounded_codecs import BatchCodec, UnfoldsTooFarError, unfold

BOUND = 2 * 1024 * 1024
MANY = 100 * 1024 * 1024


def screen(data: bytes, position: int = 0, *, bound: int = BOUND, room: int = MANY) -> Screened:
    """Screen with generous limits."""
    return screened(data, position, bound=bound, room=room)


def read(data: bytes) -> list[Record]:
    """The records as aiokafka decodes them, and as a consumer hands them out."""
    batches = MemoryRecords(data)
    records: list[Record] = []
    while (batch := batches.next_batch()) is not None:
        records += [
            as_unreadable(Record("t", 0, each.offset, each.timestamp or 0, each.key, each.value, tuple(each.headers)))
            for each in batch
        ]
    return records


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressed_batch_is_read_as_it_was_sent(codec: int) -> None:
    """With every codec of Kafka; offsets, keys and timestamps stay."""
    found = screen(plain_batch(b"a") + compressed_batch(codec, b"b", b"c", base=1))
    assert found.damaged == []
    assert [(each.offset, each.timestamp_ms, each.key, each.value) for each in read(found.data)] == [
        (0, 1000, b"k", b"a"),
        (1, 1000, b"k", b"b"),
        (2, 1001, b"k", b"c"),
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_unfolds_too_far_is_one_unreadable_record(codec: int) -> None:
    """Of exactly its offsets; its neighbours are read."""
    bomb = compressed_batch(codec, bytes(BOUND), b"", b"", base=1)
    found = screen(plain_batch(b"a") + bomb + plain_batch(b"z", base=4))
    first, bad, last = read(found.data)
    assert (first.value, last.value, last.offset) == (b"a", b"z", 4)
    assert (bad.offset, bad.next_offset, bad.value) == (1, 4, None)
    assert bad.unreadable is not None
    assert bad.unreadable.whole_batch
    assert f"it unfolds to more than {BOUND} bytes" in bad.unreadable.detail
    assert found.damaged == [bad.unreadable]


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_decompressed_beyond_the_bound(codec: int) -> None:
    """The peak of Python's memory stays near the bound, whatever the bytes would unfold to."""
    bomb = CODECS[codec](bytes(30 * BOUND))
    tracemalloc.start()
    try:
        with pytest.raises(UnfoldsTooFarError):
            unfold(BatchCodec(codec), bomb, BOUND)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * BOUND + len(bomb)


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_body_is_one_unreadable_record(codec: int) -> None:
    """Codecs raise errors of their own; whichever it is, reading goes on."""
    broken = with_body(plain_batch(b"a", b"b"), b"\xff" * 50, codec)
    (bad,) = read(screen(broken).data)
    assert (bad.offset, bad.next_offset) == (0, 2)


def test_gzip_that_is_cut_off_is_damaged() -> None:
    """The standard library returns what there is and says nothing."""
    (bad,) = read(screen(with_body(plain_batch(b"a"), CODECS[1](b"whole")[:-9], 1)).data)
    assert bad.unreadable is not None
    assert "cut off" in bad.unreadable.detail


def test_a_wrong_checksum_is_one_unreadable_record() -> None:
    """Up to the next batch: its own length in offsets may be what is wrong."""
    data = bytearray(plain_batch(b"a", b"b") + plain_batch(b"c", base=2))
    data[26] = 0x7F  # the last offset delta
    bad, good = read(screen(bytes(data)).data)
    assert (bad.offset, bad.next_offset, good.offset, good.value) == (0, 2, 2, b"c")
    assert bad.unreadable is not None
    assert "checksum" in bad.unreadable.detail


def test_an_unknown_codec_is_one_unreadable_record() -> None:
    """Kafka knows four; a later one would be read by a later version."""
    batch = plain_batch(b"a", b"b")
    (bad,) = read(screen(with_body(batch, batch[HEADER_BYTES:], 6)).data)
    assert (bad.offset, bad.next_offset) == (0, 2)


def test_only_offsets_from_the_position_on_are_replaced() -> None:
    """A fetch from the middle of a damaged batch concerns the rest of it."""
    (bad,) = read(screen(compressed_batch(4, bytes(BOUND), b"", b"", base=10), 11).data)
    assert (bad.offset, bad.next_offset) == (11, 13)


@pytest.mark.parametrize("headers", [[("", b"")] * 60_000])
def test_a_batch_of_far_too_many_headers_is_one_unreadable_record(headers: list[tuple[str, bytes | None]]) -> None:
    """Two bytes on the wire are a hundred in Python: bytes alone bound nothing."""
    value = bytes(ALWAYS_PASSED // 2)
    (bad,) = read(screen(compressed_batch(4, value, value, headers=headers)).data)
    assert bad.unreadable is not None
    assert "headers" in bad.unreadable.detail


def test_a_batch_of_far_too_many_records_is_one_unreadable_record() -> None:
    """As with headers."""
    (bad,) = read(screen(compressed_batch(4, bytes(ALWAYS_PASSED), *[b""] * 50_000)).data)
    assert (bad.offset, bad.next_offset) == (0, 50_001)
    assert bad.unreadable is not None
    assert "records" in bad.unreadable.detail


def test_batches_beyond_the_room_are_left_for_the_next_fetch() -> None:
    """What is passed on ends with a whole batch."""
    data = b"".join(compressed_batch(4, bytes(500_000), base=number) for number in range(8))
    found = screen(data, room=1_600_000)
    assert [each.offset for each in read(found.data)] == [0, 1, 2]
    assert not found.deferred


def test_without_room_an_ordinary_batch_is_passed_on_and_a_large_one_waits() -> None:
    """One partition that is not read does not stop the others."""
    assert len(read(screen(plain_batch(bytes(900_000)), room=-5).data)) == 1
    found = screen(compressed_batch(4, bytes(1_900_000)), room=-5)
    assert (found.data, found.deferred) == (b"", True)


def test_batches_of_older_formats_are_passed_on() -> None:
    """The client itself reads them."""
    old = bytearray(plain_batch(b"a"))
    old[16] = 1
    assert screen(bytes(old)) == Screened(bytes(old), [])


def test_a_record_cannot_pass_for_a_placeholder() -> None:
    """Only the key that this process has drawn makes one."""
    record = Record("t", 0, 5, 0, b"k" * 16, b"\0" * 8, ())
    assert as_unreadable(record) is record


@given(st.binary(max_size=300), st.integers(0, 7))
def test_no_bytes_stop_the_reading(body: bytes, codec: int) -> None:
    """Whatever a batch holds, it is passed on or replaced, with its offsets."""
    found = screen(with_body(plain_batch(b"a", b"b"), body, codec))
    assert MemoryRecords(found.data).has_next()


@pytest.mark.parametrize("codec", [0, *CODECS])
def test_records_that_are_larger_than_any_that_is_wanted_are_dropped(codec: int) -> None:
    """Before they are copied; the others keep their offsets, and a batch of which none remains is gone past."""
    mixed = (b"a", bytes(500_000), b"c")
    huge = (bytes(500_000),) * 3
    make = plain_batch if codec == 0 else partial(compressed_batch, codec)
    found = screened(make(*mixed) + make(*huge, base=3), 0, bound=BOUND, room=MANY, record_bytes=1_000)
    assert [(each.offset, each.value) for each in read(found.data)] == [(0, b"a"), (2, b"c")]
    assert [each.header.next_offset for each in batches(found.data)] == [3, 6]
    assert len(found.data) < 1_000


def test_what_one_fetch_unfolds_to_is_bounded_though_it_is_dropped() -> None:
    """A thread that decompresses without end would hold up the stop of its process."""
    one = compressed_batch(4, *[bytes(600_000)] * 3)
    found = screened(one * 100, 0, bound=BOUND, room=MANY, record_bytes=1_000)
    assert len(list(batches(found.data))) == 38
