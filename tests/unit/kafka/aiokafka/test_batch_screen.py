"""What a fetch brings is decompressed within a bound, and what cannot be read is replaced."""

from __future__ import annotations

import tracemalloc
from functools import partial

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kafka.aiokafka.batches import CODECS, HEADER_BYTES, Headers, compressed_batch, plain_batch, with_body

from kallback.kafka import TOO_MANY_HEADERS, Record
from kallback.kafka.aiokafka.batches import batch_screen
from kallback.kafka.aiokafka.batches.batch_format import Body, batches, count_headers
from kallback.kafka.aiokafka.batches.batch_screen import (
    ALWAYS_PASSED,
    Screened,
    ScreenLimits,
    WaitingBatch,
    as_unreadable,
    screened,
)
from kallback.kafka.aiokafka.batches.bounded_codecs import BatchCodec, UnfoldingSpace, UnfoldsTooFarError, unfold
from kallback.protocol.headers import MAX_HEADER_BYTES, MAX_HEADERS

BOUND = 2 * 1024 * 1024
MANY = 100 * 1024 * 1024


def screen(data: bytes, position: int = 0, *, bound: int = BOUND, room: int = MANY) -> Screened:
    """Screen with generous limits."""
    return screened(data, position, ScreenLimits(bound), room=room)


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
            unfold(BatchCodec(codec), bomb, BOUND, UnfoldingSpace())
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
    found = screened(make(*mixed) + make(*huge, base=3), 0, ScreenLimits(BOUND, record_bytes=1_000), room=MANY)
    assert [(each.offset, each.value) for each in read(found.data)] == [(0, b"a"), (2, b"c")]
    assert [each.header.next_offset for each in batches(found.data)] == [3, 6]
    assert len(found.data) < 1_000


def test_what_one_fetch_unfolds_to_is_bounded_though_it_is_dropped() -> None:
    """A thread that decompresses without end would hold up the stop of its process."""
    one = compressed_batch(4, *[bytes(600_000)] * 3)
    found = screened(one * 100, 0, ScreenLimits(BOUND, record_bytes=1_000), room=MANY)
    assert len(list(batches(found.data))) == 38


def bound_headers(data: bytes) -> list[Record]:
    """The records of a member of a group."""
    return read(screened(data, 0, ScreenLimits(BOUND, headers=True), room=MANY).data)


@pytest.mark.parametrize("codec", [0, *CODECS])
@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([("", None)] * (MAX_HEADERS + 1), "501 headers"),
        ([("x", bytes(MAX_HEADER_BYTES // 4))] * 5, "bytes of headers"),
    ],
)
def test_a_record_with_too_many_headers_is_replaced_before_they_are_decoded(
    codec: int, headers: Headers, why: str
) -> None:
    """However small its batch is; offset and timestamp stay, and so do its neighbours."""
    make = plain_batch if codec == 0 else partial(compressed_batch, codec)
    found = bound_headers(make(b"a") + make(b"b", b"c", base=1, headers=headers) + make(b"d", base=3))
    assert [(each.offset, each.timestamp_ms, each.value) for each in found] == [
        (0, 1000, b"a"),
        (1, 1000, None),
        (2, 1001, None),
        (3, 1000, b"d"),
    ]
    unreadable = found[1].unreadable
    assert unreadable is not None
    assert (unreadable.reason, unreadable.count, found[1].next_offset) == (TOO_MANY_HEADERS, 1, 2)
    assert why in unreadable.detail


def test_headers_within_the_bounds_are_passed_on() -> None:
    """As many, and as many bytes, as the wire allows."""
    headers = [("n", bytes(MAX_HEADER_BYTES // MAX_HEADERS - 1))] * MAX_HEADERS
    (record,) = bound_headers(compressed_batch(4, b"a", headers=headers))
    assert record.headers == tuple(headers)


def test_no_object_is_built_of_headers_beyond_the_bounds() -> None:
    """Three records of 45,000 headers in a batch of 0.4 MB took the loop of their reader 70 ms."""
    data = compressed_batch(4, b"1", b"2", b"3", headers=[("k", None)] * 45_000)
    passed = screened(data, 0, ScreenLimits(BOUND, headers=True), room=MANY).data
    assert sum(count_headers(batch.body, batch.header.records) for batch in batches(passed)) == 0


def test_small_records_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cannot have so many headers: an ordinary record costs the reading of its length."""
    looked: list[object] = []
    monkeypatch.setattr(batch_screen, "header_sizes", lambda _body, record: looked.append(record))
    bound_headers(plain_batch(*[bytes(900)] * 100))
    assert looked == []


def test_large_batches_of_members_may_have_many_headers() -> None:
    """The number of headers of a batch says nothing where that of each record is bounded."""
    data = compressed_batch(4, *[bytes(150)] * 6_000, headers=[("n", b"")] * 20)
    found = bound_headers(data)
    assert len(found) == 6_000
    assert found[0].unreadable is None


def test_a_batch_that_found_no_room_is_not_unfolded_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve partitions with large batches one found room, and all were unfolded again for each batch of it."""
    unfolded: list[int] = []

    def counting(how: BatchCodec, data: bytes, bound: int, space: UnfoldingSpace) -> Body:
        unfolded.append(len(data))
        return unfold(how, data, bound, space)

    monkeypatch.setattr(batch_screen, "unfold", counting)
    data, limits = compressed_batch(4, bytes(1_900_000), base=7), ScreenLimits(BOUND)
    first = screened(data, 7, limits, room=0)
    again = screened(data, 7, limits, room=0, waiting=first.waiting)
    assert (again.deferred, again.waiting, len(unfolded)) == (True, first.waiting, 1)
    last = screened(data, 7, limits, room=MANY, waiting=again.waiting)
    assert [each.offset for each in read(last.data)] == [7]


def test_a_batch_that_most_likely_finds_no_room_is_left_for_the_next_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbour has filled the room, and it is as large: to unfold it now would be in vain."""
    unfolded: list[int] = []

    def counting(how: BatchCodec, data: bytes, bound: int, space: UnfoldingSpace) -> Body:
        unfolded.append(len(data))
        return unfold(how, data, bound, space)

    monkeypatch.setattr(batch_screen, "unfold", counting)
    two = compressed_batch(4, bytes(1_500_000)) + compressed_batch(4, bytes(1_500_000), base=1)
    assert len(read(screened(two, 0, ScreenLimits(BOUND), room=2_000_000).data)) == 1
    assert len(unfolded) == 1


def test_another_batch_than_the_waiting_one_is_unfolded() -> None:
    """The topic was created anew, or reading went on elsewhere."""
    waiting = WaitingBatch(99, 10 * MANY)
    assert screened(plain_batch(b"a"), 0, ScreenLimits(BOUND), room=0, waiting=waiting).data


@pytest.mark.parametrize("codec", [3, 4])
def test_one_batch_after_the_other_is_unfolded_in_the_same_memory(codec: int) -> None:
    """New memory for each took a worker four times as long as to unfold them; what was read of one stays as it is."""
    space = UnfoldingSpace()
    limits = ScreenLimits(BOUND)
    first = screened(compressed_batch(codec, b"a" * 500_000), 0, limits, room=MANY, space=space)
    size = space.size
    second = screened(compressed_batch(codec, b"b" * 400_000, base=1), 1, limits, room=MANY, space=space)
    assert space.size == size
    assert [each.value for each in read(first.data + second.data)] == [b"a" * 500_000, b"b" * 400_000]


@pytest.mark.parametrize("codec", [3, 4])
def test_memory_that_is_larger_than_the_bound_loosens_no_bound(codec: int) -> None:
    """Clients of one process may have different bounds."""
    space = UnfoldingSpace()
    space.of(4 * BOUND)
    with pytest.raises(UnfoldsTooFarError):
        unfold(BatchCodec(codec), CODECS[codec](bytes(2 * BOUND)), BOUND, space)
