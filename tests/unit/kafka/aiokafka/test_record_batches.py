"""Batches that aiokafka gives up are decoded record by record."""

from __future__ import annotations

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka import Record, TopicPartition
from kallback.kafka.aiokafka.batches.record_batches import FetchedBytes, decode_batches

A = TopicPartition("t", 0)
HEADER_BYTES = 61
TRANSACTIONAL = 0x10
CONTROL = 0x20


class OddName(str):
    """A header name whose bytes are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        """Return the bytes that are written."""
        return b"\xff"


def batch(*values: bytes, base: int = 0, odd: int | None = None, compression: int = 0, producer: int = -1) -> bytes:
    """A record batch as a broker returns it."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, int(producer >= 0), producer, 0, 0, 10_000_000)
    for number, value in enumerate(values):
        headers: list[tuple[str, bytes | None]] = [(OddName("x") if number == odd else "good", b"h")]
        builder.append(number, 1000 + number, b"k", value, headers)
    data = bytearray(builder.build())
    data[0:8] = base.to_bytes(8, "big")
    return bytes(data)


def decoded(*batches: bytes, position: int = 0, aborted: list[tuple[int, int]] | None = None) -> list[Record]:
    """The records of a fetch."""
    return decode_batches(FetchedBytes(b"".join(batches), aborted or ()), A, position)


def test_records_are_as_aiokafka_would_return_them() -> None:
    """Offset, timestamp, key, value and headers."""
    first, second = decoded(batch(b"a", b"b", base=7))
    assert first == Record("t", 0, 7, 1000, b"k", b"a", (("good", b"h"),))
    assert (second.offset, second.timestamp_ms, second.value) == (8, 1001, b"b")


def test_a_bad_header_name_concerns_its_record_only() -> None:
    """The records before and after it are read."""
    found = decoded(batch(b"a", b"b", b"c", odd=1))
    assert [record.unreadable is not None for record in found] == [False, True, False]
    assert found[1].next_offset == 2


def test_decoding_ends_behind_the_first_batch_that_has_an_unreadable_record() -> None:
    """What lies behind it is read by aiokafka itself."""
    found = decoded(batch(b"a"), batch(b"b", base=1, odd=0), batch(b"c", base=2))
    assert [record.offset for record in found] == [0, 1]


def test_batches_in_a_row_that_have_unreadable_records_are_decoded_at_once() -> None:
    """Each look at a damaged batch costs a fetch: a row of them is one look."""
    odd = (batch(b"b", base=number, odd=0) for number in (1, 2, 3))
    found = decoded(batch(b"a"), *odd, batch(b"c", base=4), batch(b"d", base=5, odd=0))
    assert [record.offset for record in found] == [0, 1, 2, 3]


def test_a_batch_whose_records_cannot_be_told_apart_is_one_record_of_its_range() -> None:
    """From the position on, up to the end of the batch."""
    good = batch(b"a", b"b", b"c", base=10)
    broken = good[:HEADER_BYTES] + b"\xff" * (len(good) - HEADER_BYTES)
    (record,) = decoded(broken, position=11)
    assert (record.offset, record.next_offset) == (11, 13)
    assert record.unreadable is not None
    assert "cannot be decoded" in record.unreadable.detail


def test_records_before_the_position_are_left_out() -> None:
    """A fetch returns whole batches, also those that begin before its offset."""
    assert [record.value for record in decoded(batch(b"a", b"b", base=4), position=5)] == [b"b"]


def test_aborted_transactions_are_left_out_until_their_marker() -> None:
    """As everything that reads committed records does."""
    marker = bytearray(batch(b"", base=2, producer=9))
    marker[22] |= CONTROL  # the low byte of the attributes
    batches = [batch(b"a", base=0, producer=9), batch(b"b", base=1), bytes(marker), batch(b"c", base=3, producer=9)]
    assert [record.value for record in decoded(*batches, aborted=[(9, 0)])] == [b"b", b"c"]


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    """Whatever the body of a batch holds, its offsets are covered."""
    good = batch(b"a", b"b", b"c")
    data = bytearray(good[:HEADER_BYTES] + body)
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    for record in decoded(bytes(data)):
        assert isinstance(record, Record)
