"""A topic that takes less than a client's batches takes small records all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from tests.integration.kafka.labs import RealLab

from kallback.kafka import IN_BATCHES, OutgoingRecord, Position, Producer
from kallback.protocol import KafkaUnavailableError, RecordTooLargeError

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)]

TAKES = 20_000
BURST = 200


def small_topic(lab: RealLab) -> str:
    """Make a topic with a small limit."""
    name = f"small-{lab.new_group()}"
    admin = AdminClient({"bootstrap.servers": lab.settings.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1, config={"max.message.bytes": str(TAKES)})])[name].result()
    return name


async def sent(producer: Producer, record: OutgoingRecord) -> Position:
    """Send a record as all of kallback does: what may help is tried again."""
    while True:
        with contextlib.suppress(KafkaUnavailableError):  # aiokafka starts its sequence anew behind a refused batch
            return await producer.send(record)


async def test_a_burst_of_small_records_is_taken(lab: RealLab) -> None:
    """The limit is for batches, of which a broker refuses all records."""
    topic = small_topic(lab)
    producer = await lab.start(lab.new_producer(IN_BATCHES))
    values = [os.urandom(1_000) for _ in range(BURST)]
    positions = await asyncio.gather(*(sent(producer, OutgoingRecord(topic, value)) for value in values))
    assert sorted(each.offset for each in positions) == list(range(BURST))


async def test_a_record_that_the_topic_does_not_take_alone_is_too_large(lab: RealLab) -> None:
    """Those that were sent with it are taken."""
    topic = small_topic(lab)
    producer = await lab.start(lab.new_producer())
    sends = [sent(producer, OutgoingRecord(topic, b"x" * size)) for size in (100, TAKES + 1, 100)]
    small, large, after = await asyncio.gather(*sends, return_exceptions=True)
    assert isinstance(large, RecordTooLargeError)
    assert isinstance(small, Position)
    assert isinstance(after, Position)
