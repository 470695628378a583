"""Summaries of dead letters: what is counted, and how it is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka import (
    DeadLetter,
    DeadLetters,
    MemoryBroker,
    MemoryProducer,
    OffsetRange,
    OutgoingRecord,
    Position,
    Record,
    SummaryBuilder,
    UnknownEntry,
    Unreadable,
    read_entry,
)
from kallback.kafka.dead_letters.summaries import MAX_RANGES, SUMMARY, read_summary
from kallback.kafka.dead_letters.writer import MAX_SAMPLE_BYTES
from kallback.protocol import RecordTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable

TOPIC = "dead"


def record(partition: int, offset: int, value: bytes = b"v") -> Record:
    """A forged result."""
    return Record("results", partition, offset, 1000 + offset, b"k", value, (("kallback-token", b"t"),))


def counted(places: Iterable[tuple[int, int]]) -> SummaryBuilder:
    """A summary of records at these places."""
    first, *others = places
    builder = SummaryBuilder(record(*first))
    for place in others:
        builder.add(record(*place))
    return builder


async def written(builder: SummaryBuilder, *, sample: bool = True, largest: int = 1_048_576) -> DeadLetter:
    """The summary as it is read back from the dead-letter topic, which takes no larger keys and values."""
    broker = MemoryBroker(clock=lambda: 20.0)
    broker.create_topic(TOPIC, largest=largest)
    letters = DeadLetters(MemoryProducer(broker), TOPIC, group="bridge", clock=lambda: 12.5)
    await letters.publish_summary(builder, "wrong-tag", "forged", sample=sample)
    (entry,) = map(read_entry, broker.records(TOPIC))
    assert isinstance(entry, DeadLetter)
    return entry


def test_neighbours_share_a_range() -> None:
    """A range ends where a verified record lies between."""
    summary = counted([(0, 5), (1, 8), (0, 6), (0, 8), (1, 9)]).build()
    assert summary.count == 5
    assert summary.ranges == (OffsetRange(0, 5, 7), OffsetRange(1, 8, 10), OffsetRange(0, 8, 9))
    assert (summary.last.partition, summary.last.offset, summary.last.timestamp) == (1, 9, 1009)


def test_a_coarse_summary_has_one_range_for_each_partition() -> None:
    """It also spans what lies between, so that alternating records do not make it large."""
    builder = SummaryBuilder(record(0, 0), coarse=True)
    for offset in range(2, 5_000, 2):
        builder.add(record(0, offset))
    builder.add(record(1, 7))
    summary = read_summary(builder.build().encode())
    assert summary is not None
    assert summary.count == 2_501
    assert summary.ranges == (OffsetRange(0, 0, 4_999), OffsetRange(1, 7, 8))


def test_a_coarse_summary_is_full_before_its_ranges_span_too_much() -> None:
    """A reader refuses summaries that span more than a million records."""
    builder, offset = SummaryBuilder(record(0, 0), coarse=True), 0
    while not builder.is_full:
        offset += 90_000
        builder.add(record(0, offset))
    assert read_summary(builder.build().encode()) is not None


def test_a_coarse_summary_spans_no_large_gap() -> None:
    """Behind it, or before it in a topic that was created anew, another range begins."""
    builder = SummaryBuilder(record(0, 5), coarse=True)
    builder.add(record(0, 500_000))
    builder.add(record(0, 1))
    assert builder.build().ranges == (OffsetRange(0, 5, 6), OffsetRange(0, 500_000, 500_001), OffsetRange(0, 1, 2))


async def test_a_summary_is_the_dead_letter_of_its_sample() -> None:
    """The first record byte for byte, its position, the reason, and what is counted beside it."""
    builder = counted([(0, 5), (0, 6)])
    letter = await written(builder)
    assert (letter.reason, letter.source, letter.value) == ("wrong-tag", Position("results", 0, 5), b"v")
    assert (letter.headers, letter.count, letter.summary) == ((("kallback-token", b"t"),), 2, builder.build())


@pytest.mark.parametrize(
    ("first", "sample"),
    [
        (record(0, 5, b"x" * MAX_SAMPLE_BYTES), True),
        (record(0, 5), False),
        (Record("results", 0, 5, 0, None, None, (), unreadable=Unreadable("odd", 3)), True),
    ],
)
async def test_a_sample_that_may_not_be_kept_is_named_by_its_position(first: Record, sample: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """It is too large, unreadable, or the bytes of this hour are used up."""
    letter = await written(SummaryBuilder(first), sample=sample)
    assert (letter.value, letter.headers, letter.stub_bytes is None) == (None, (), False)
    assert letter.summary is not None


async def test_a_sample_that_the_topic_does_not_take_is_named_by_its_position() -> None:
    """A topic that takes little would end every bridge, as often as one forged record of that size comes."""
    letter = await written(SummaryBuilder(record(0, 5, b"x" * 2_000)), largest=1_000)
    assert (letter.value, letter.stub_bytes) == (None, 2_000)
    assert letter.summary is not None


async def test_ranges_that_the_topic_does_not_take_are_spanned_by_one_for_each_partition() -> None:
    """Forged records between good ones make many ranges: 12 KB, of which a small topic must not end a bridge."""

    class SmallTopic(MemoryProducer):
        async def send(self, record: OutgoingRecord) -> Position:
            if record.size > 3_000:
                raise RecordTooLargeError("more than the topic takes")
            return await super().send(record)

    broker = MemoryBroker()
    broker.create_topic(TOPIC)
    builder = counted([(partition, offset) for offset in range(0, 400, 2) for partition in (0, 1)])
    await DeadLetters(SmallTopic(broker), TOPIC, group="bridge").publish_summary(builder, "r", "d", sample=True)
    (entry,) = map(read_entry, broker.records(TOPIC))
    assert isinstance(entry, DeadLetter)
    assert entry.summary is not None
    assert (entry.count, entry.summary.ranges) == (400, (OffsetRange(0, 0, 399), OffsetRange(1, 0, 399)))


def test_a_summary_is_full_before_its_ranges_are_too_many() -> None:
    """What is written can be read back."""
    builder = SummaryBuilder(record(0, 0))
    offset = 0
    while not builder.is_full:
        offset += 2
        builder.add(record(0, offset))
    assert read_summary(builder.build().encode()) == builder.build()
    assert builder.count == MAX_RANGES


@pytest.mark.parametrize(
    "header",
    [
        b'{"count":2,"ranges":[],"last":{"partition":0,"offset":1,"timestamp":0}}',
        b'{"count":9,"ranges":[[0,1,3]],"last":{"partition":0,"offset":1,"timestamp":0}}',
        b'{"count":1,"ranges":[[0,3,3]],"last":{"partition":0,"offset":1,"timestamp":0}}',
        b'{"count":1,"ranges":[[0,0,9000000000000]],"last":{"partition":0,"offset":1,"timestamp":0}}',
        b'{"count":1,"ranges":[[0,-1,3]],"last":{"partition":0,"offset":1,"timestamp":0}}',
        b"[" * 20_000,
        b"x" * 100_000,
    ],
)
def test_a_forged_summary_is_an_unknown_entry(header: bytes) -> None:
    """No range that is empty, negative, endless or smaller than its count."""
    names = ("reason", "topic", "partition", "offset", "timestamp", "at")
    added = tuple((f"kallback-dead-{name}", b"1") for name in names)
    entry = read_entry(Record(TOPIC, 0, 3, 0, None, b"v", (*added, (SUMMARY, header))))
    assert isinstance(entry, UnknownEntry)


@given(st.binary(max_size=200))
def test_no_header_raises(header: bytes) -> None:
    """Anyone can write it."""
    read_summary(header)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=60, unique=True))
def test_each_record_lies_in_a_range(places: list[tuple[int, int]]) -> None:
    """And the ranges hold nothing else, whatever the order."""
    summary = counted(places).build()
    inside = [(each.partition, offset) for each in summary.ranges for offset in range(each.first, each.end)]
    assert sorted(inside) == sorted(places)
