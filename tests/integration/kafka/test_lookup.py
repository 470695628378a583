"""Many records looked up by their positions on a real Kafka: with one consumer, over partitions and wide gaps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kallback.kafka import ConfluentProducer, OutgoingRecord, Position, Record, find_records, read_ranges
from kallback.kafka.confluent.scan import TopicScan
from kallback.protocol import MissingTopicError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kallback.settings import KafkaSettings
    from kallback.testing import TopicFactory

pytestmark = pytest.mark.integration


class Filled:
    """A topic whose records say where they are."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self.settings = settings
        self.topic = topic

    async def fill(self, count: int, size: int = 10) -> list[Position]:
        """Write so many records to each of three partitions; where they are."""
        keys = [f"{number:06}".encode() for number in range(3 * count)]
        async with ConfluentProducer(self.settings) as producer:
            sending = (producer.send(OutgoingRecord(self.topic, key + bytes(size), key)) for key in keys)
            return list(await asyncio.gather(*sending))

    async def found(self, wanted: Iterable[Position]) -> dict[Position, bytes | None]:
        """The keys of records."""
        return await find_records(self.settings, wanted, lambda record: record.key)


@pytest.fixture
def filled(kafka_settings: KafkaSettings, topics_factory: TopicFactory) -> Filled:
    """One."""
    return Filled(kafka_settings, topics_factory("tasks", partitions=3))


async def test_each_record_is_found_at_its_position(filled: Filled) -> None:
    """What lies beside it is not, and what is not there is left out: behind the end, of an unknown partition."""
    written = await filled.fill(100)
    absent = [Position(filled.topic, 0, 1_000_000), Position(filled.topic, 9, 0)]
    found = await filled.found([*written[::7], *absent])
    assert found == {at: f"{number * 7:06}".encode() for number, at in enumerate(written[::7])}


async def test_what_lies_far_apart_is_jumped_to(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two records may be a day's work of others: 30 MB here, of which little is read."""
    written = await filled.fill(100, size=100_000)
    ends = {at.partition: at for at in sorted(written, key=lambda each: each.offset)}
    wanted = [at for at in written if at.offset == 0] + list(ends.values())
    read = list[Record]()
    take = TopicScan.poll

    def poll(scan: TopicScan) -> list[Record]:
        records = take(scan)
        read.extend(records)
        return records

    monkeypatch.setattr(TopicScan, "poll", poll)
    assert set(await filled.found(wanted)) == set(wanted)
    assert len(read) < len(written) // 2


async def test_a_position_behind_the_end_does_not_keep_the_others_from_being_found(filled: Filled) -> None:
    """A forged dead letter names any offset; those of its partition are looked up with the same consumer."""
    written = await filled.fill(3, size=100_000)
    forged = [Position(filled.topic, number, 1 << 70) for number in range(3)]
    below = [Position(filled.topic, number, -5) for number in range(3)]
    assert set(await filled.found([*written, *forged, *below])) == set(written)


async def test_a_topic_that_does_not_exist_is_named(filled: Filled) -> None:
    """As for one record."""
    with pytest.raises(MissingTopicError, match="no-such-topic"):
        await filled.found([Position("no-such-topic", 0, 0)])


async def test_the_ends_of_all_partitions_are_read_together(filled: Filled) -> None:
    """As lists of the last records need them; what lies before and behind is left out."""
    written = await filled.fill(100)
    ranges = {0: (40, 50), 1: (95, 100), 2: (0, 3)}
    found = [
        Position(filled.topic, record.partition, record.offset)
        async for records in read_ranges(filled.settings, filled.topic, ranges)
        for record in records
    ]
    wanted = [at for at in written if ranges[at.partition][0] <= at.offset < ranges[at.partition][1]]
    assert sorted(map(str, found)) == sorted(map(str, wanted))
