"""What every `Producer` does, whichever client is behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kallback.kafka import OutgoingRecord, Placement, ProducerOptions
from kallback.protocol.errors import KafkaUnavailableError, MissingTopicError, RecordTooLargeError

if TYPE_CHECKING:
    from tests.integration.kafka.labs import Lab

pytestmark = pytest.mark.integration


async def test_sends_keep_the_order_in_which_they_began(lab: Lab) -> None:
    """Overlapping sends to one partition are written in the order of their calls."""
    topic = lab.topic()
    positions = await lab.send(topic, *map(str, range(500)))
    assert [position.offset for position in positions] == list(range(500))
    records = await lab.receive(await lab.consumer(topic), 500)
    assert lab.values(records) == [str(number) for number in range(500)]


async def test_records_that_wait_for_others_keep_their_order(lab: Lab) -> None:
    """Compressed or not, large or small; a stop sends what still waits."""
    topic = lab.topic()
    producer = await lab.producer(ProducerOptions(compression="lz4", linger=0.005))
    values = [str(number) * (1 if number % 50 else 100_000) for number in range(200)]
    sends = [producer.send(OutgoingRecord(topic, value.encode())) for value in values]
    positions = await asyncio.gather(*sends)
    last = asyncio.create_task(producer.send(OutgoingRecord(topic, b"last")))
    await asyncio.sleep(0)
    await producer.stop()
    assert [position.offset for position in (*positions, await last)] == list(range(201))
    assert lab.values(await lab.receive(await lab.consumer(topic), 201)) == [*values, "last"]


async def test_key_value_and_headers_arrive_byte_for_byte(lab: Lab) -> None:
    """Duplicate headers, their order, empty and missing values and raw bytes survive the way."""
    topic = lab.topic()
    headers = (("a", b"1"), ("b", None), ("a", b"\xff\x00"), ("c", b""), ("a", b"1"))
    producer = await lab.producer()
    await producer.send(OutgoingRecord(topic, b"\x00\xfe", b"\xfd", headers))
    (record,) = await lab.receive(await lab.consumer(topic), 1)
    assert (record.key, record.value, record.headers) == (b"\xfd", b"\x00\xfe", headers)


async def test_a_tombstone_is_no_empty_value(lab: Lab) -> None:
    """A value of None and an empty one stay different, and so do keys."""
    topic = lab.topic()
    producer = await lab.producer()
    await producer.send(OutgoingRecord(topic, None, b""))
    await producer.send(OutgoingRecord(topic, b"", None))
    first, second = await lab.receive(await lab.consumer(topic), 2)
    assert (first.key, first.value, second.key, second.value) == (b"", None, None, b"")


async def test_a_record_may_have_neither_key_nor_value(lab: Lab) -> None:
    """Then both arrive as None, and so do headers without a value."""
    topic = lab.topic()
    await (await lab.producer()).send(OutgoingRecord(topic, None, None, (("a", None),)))
    (record,) = await lab.receive(await lab.consumer(topic), 1)
    assert (record.key, record.value, record.headers) == (None, None, (("a", None),))


async def test_a_missing_topic_is_an_error_that_says_the_command(lab: Lab) -> None:
    """A send to a topic that does not exist fails for good and names what creates it."""
    producer = await lab.producer()
    with pytest.raises(MissingTopicError, match="'no-such-topic' does not exist; create it with: kallback topics"):
        await producer.send(OutgoingRecord("no-such-topic", b"x"))


async def test_a_record_larger_than_the_topic_allows_is_permanent(lab: Lab) -> None:
    """The broker's limit shows as RecordTooLargeError, and the producer goes on."""
    topic = lab.topic()
    producer = await lab.producer()
    with pytest.raises(RecordTooLargeError):
        await producer.send(OutgoingRecord(topic, b"x" * 2_000_000))
    assert (await producer.send(OutgoingRecord(topic, b"small"))).offset == 0


async def test_placed_records_take_turns_and_avoid_partitions(lab: Lab) -> None:
    """Consecutive turns go to consecutive partitions, whatever the key is; partitions to avoid get nothing."""
    topic = lab.topic(partitions=4)
    producer = await lab.producer()
    records = [OutgoingRecord(topic, b"x", b"key", placement=Placement(turn)) for turn in range(8)]
    records += [OutgoingRecord(topic, b"x", b"key", placement=Placement(turn, frozenset({0, 1}))) for turn in range(4)]
    positions = await asyncio.gather(*map(producer.send, records))
    assert [position.partition for position in positions] == [0, 1, 2, 3, 0, 1, 2, 3, 2, 3, 2, 3]


async def test_a_placed_record_of_a_missing_topic_fails_as_any_other(lab: Lab) -> None:
    """The number of partitions is unknown then; the sentence names the command."""
    producer = await lab.producer()
    with pytest.raises(MissingTopicError, match="kallback topics create"):
        await producer.send(OutgoingRecord("no-such-topic", b"x", placement=Placement(1)))


async def test_a_cancelled_send_leaves_the_producer_in_order(lab: Lab) -> None:
    """Cancelling one send only ends its waiting: the next one succeeds."""
    topic = lab.topic()
    producer = await lab.producer()
    first = asyncio.create_task(producer.send(OutgoingRecord(topic, b"first")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await producer.send(OutgoingRecord(topic, b"second"))).topic == topic
    assert first.cancelled()


async def test_stop_writes_what_is_queued_and_twice_is_fine(lab: Lab) -> None:
    """Stop flushes: a send that was under way is acknowledged; later sends are refused."""
    topic = lab.topic()
    producer = await lab.producer()
    under_way = asyncio.create_task(producer.send(OutgoingRecord(topic, b"last")))
    await asyncio.sleep(0)
    await producer.stop()
    await producer.stop()
    assert (await under_way).offset == 0
    with pytest.raises(KafkaUnavailableError, match="stopped"):
        await producer.send(OutgoingRecord(topic, b"too late"))
