"""A record that a client cannot read has its place among the others: it is handed out, settled and never in the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.integration.kafka.odd_records import send_odd_header

from kallback.kafka import Position

if TYPE_CHECKING:
    from tests.integration.kafka.labs import Lab

    from kallback.kafka import Record

pytestmark = pytest.mark.integration


def seen(records: list[Record]) -> list[str | None]:
    """Each record's value as text, or `None` for what cannot be read."""
    return [None if record.unreadable else (record.value or b"").decode() for record in records]


async def test_a_header_name_that_is_not_utf8_makes_that_record_unreadable(lab: Lab) -> None:
    """Its neighbours come as they were sent, in order, and it says what is wrong with it."""
    topic = lab.topic()
    await lab.send(topic, "a")
    await send_odd_header(lab, topic, b"odd")
    await lab.send(topic, "b")
    records = await lab.receive(await lab.consumer(topic), 3)
    assert seen(records) == ["a", None, "b"]
    odd = records[1]
    assert (odd.offset, odd.key, odd.value, odd.headers) == (1, None, None, ())
    assert odd.unreadable is not None
    assert "header name" in odd.unreadable.detail


async def test_good_records_of_the_same_batch_are_read(lab: Lab) -> None:
    """One bad record costs none of those that were sent together with it."""
    topic = lab.topic()
    await send_odd_header(lab, topic, b"before", b"odd", b"after", odd=1)
    records = await lab.receive(await lab.consumer(topic), 3)
    assert seen(records) == ["before", None, "after"]


async def test_records_of_other_partitions_that_come_with_it_are_read(lab: Lab) -> None:
    """One fetch brings them all; what was taken before the bad one came up is not lost."""
    topic = lab.topic(partitions=12)
    for number in range(12):
        await send_odd_header(lab, topic, b"before", b"good", odd=1 if number in {4, 8} else -1, partition=number)
    records = await lab.receive(await lab.consumer(topic), 24)
    assert {(record.partition, record.offset) for record in records} == {(n, at) for n in range(12) for at in (0, 1)}


async def test_a_settled_unreadable_record_does_not_come_again(lab: Lab) -> None:
    """It is committed as any other; an unfinished one comes again."""
    topic, group = lab.topic(), lab.new_group()
    await send_odd_header(lab, topic, b"odd")
    await send_odd_header(lab, topic, b"odd")
    await lab.send(topic, "c")
    consumer = await lab.consumer(topic, group)
    first, *_ = await lab.receive(consumer, 3)
    consumer.done(first)
    await consumer.stop()
    again = await lab.receive(await lab.consumer(topic, group), 2)
    assert [(record.offset, record.unreadable is not None) for record in again] == [(1, True), (2, False)]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aiokafka's readers wait for ever where they wait for the bytes of a damaged batch."""
    monkeypatch.setattr("kallback.kafka.aiokafka.batches.tolerant_read._FETCH_TIMEOUT_S", 1e6)


@pytest.mark.usefixtures("patient")
async def test_partitions_without_new_records_do_not_hold_it_up(lab: Lab) -> None:
    """Nothing is waited for in the others, which may have nothing to say for hours."""
    topic = lab.topic(partitions=12)
    await send_odd_header(lab, topic, b"odd")
    assert seen(await lab.receive(await lab.consumer(topic), 1)) == [None]


@pytest.mark.parametrize("lab", ["aiokafka"], indirect=True)  # the others ask no partition anew
@pytest.mark.usefixtures("patient")
async def test_partitions_without_new_records_do_not_hold_up_a_reader(lab: Lab) -> None:
    """A worker reads the control topic to its end before it takes tasks."""
    topic = lab.topic(partitions=12)
    await send_odd_header(lab, topic, b"odd")
    reader = await lab.reader(topic)
    records: list[Record] = []
    async with asyncio.timeout(60):
        while not reader.caught_up.is_set():
            records += await reader.fetch(10)
    assert seen(records) == [None]


async def test_a_reader_passes_it_on(lab: Lab) -> None:
    """Control and dead-letter topics are read without a group: to their end, whatever lies there."""
    topic = lab.topic()
    await lab.send(topic, "a")
    await send_odd_header(lab, topic, b"odd")
    await lab.send(topic, "b")
    reader = await lab.reader(topic)
    records: list[Record] = []
    while not reader.caught_up.is_set():
        records += await reader.fetch(10)
    assert seen(records) == ["a", None, "b"]
    assert Position(topic, records[1].partition, records[1].offset) == Position(topic, 0, 1)
