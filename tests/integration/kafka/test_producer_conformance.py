"""What every `Producer` does, whichever client is behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kallback.kafka import OutgoingRecord
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
    await asyncio.sleep(0.01)
    await producer.stop()
    await producer.stop()
    assert (await under_way).offset == 0
    with pytest.raises(KafkaUnavailableError, match="stopped"):
        await producer.send(OutgoingRecord(topic, b"too late"))
