"""Batches that are made byte by byte are batches of Kafka."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from attacks.raw_batches import Codec, Filling, RawRecord, batch, varint


def decoded(data: bytes) -> list[Any]:
    """The records, as a client reads them."""
    found = MemoryRecords(data).next_batch()
    assert found is not None
    assert found.validate_crc()
    return list(found)


@pytest.mark.parametrize("codec", Codec)
def test_a_client_reads_what_was_written(codec: Codec) -> None:
    """Key, value, headers and offsets, in every codec."""
    records = [RawRecord(b"value", b"key", [(b"name", b"x"), (b"null", None)]), RawRecord(None)]
    first, second = decoded(batch(records, codec))
    assert (first.offset, first.key, first.value) == (0, b"key", b"value")
    assert list(first.headers) == [("name", b"x"), ("null", None)]
    assert (second.offset, second.key, second.value) == (1, None, None)


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
def test_a_filling_is_small_when_it_is_compressed(codec: Codec) -> None:
    """It unfolds to its whole size."""
    data = batch([RawRecord(Filling(3_000_001))], codec)
    assert len(data) < 200_000
    (record,) = decoded(data)
    assert record.value == bytes(3_000_001)


def test_a_header_name_need_not_be_text() -> None:
    """The bytes are in the batch as they are given."""
    assert b"\x04\xff\xfe\x02x" in batch([RawRecord(headers=[(b"\xff\xfe", b"x")])])


@pytest.mark.parametrize(("number", "bytes_"), [(0, b"\x00"), (-1, b"\x01"), (1, b"\x02"), (300, b"\xd8\x04")])
def test_numbers_are_zigzag(number: int, bytes_: bytes) -> None:
    """As the format of record batches says."""
    assert varint(number) == bytes_
