"""A batch that librdkafka cannot decompress costs its own records only."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer as Client

from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from tests.integration.kafka.labs import RealLab

    from kallback.kafka import Record

pytestmark = pytest.mark.integration

RECORDS = 120
SIZE = 900_000


def send_too_large_a_batch(servers: str, topic: str) -> None:
    """Write one batch of zeros: a few kilobytes on the broker, more than librdkafka decompresses."""
    producer = Client(
        {
            "bootstrap.servers": servers,
            "compression.type": "zstd",
            "linger.ms": 3000,
            "batch.size": 200_000_000,
            "batch.num.messages": RECORDS,
            "message.max.bytes": 200_000_000,
            "queue.buffering.max.kbytes": 400_000,
        }
    )
    for _ in range(RECORDS):
        producer.produce(topic, bytes(SIZE))
    assert producer.flush(60) == 0


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_the_batch_is_stepped_over(lab: RealLab) -> None:
    """It is one unreadable record of exactly its offsets, and what lies behind it is read, also after a restart."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "before")
    await asyncio.to_thread(send_too_large_a_batch, lab.settings.bootstrap_servers, topic)
    await lab.send(topic, "after")
    consumer = await lab.consumer(topic, group)
    first, bad, last = await lab.receive(consumer, 3, patience=60)
    assert (first.value, last.value, last.offset) == (b"before", b"after", RECORDS + 1)
    assert bad.unreadable is not None
    assert (bad.offset, bad.next_offset) == (1, RECORDS + 1)
    consumer.done(first)
    consumer.done(bad)
    await consumer.stop()
    assert await lab.committed(group, topic) == {0: RECORDS + 1}
    assert lab.values(await lab.receive(await lab.consumer(topic, group), 1)) == ["after"]


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_who_would_rather_stop_can(lab: RealLab) -> None:
    """With the option the consumer ends, and says at which offset."""
    topic = lab.topic()
    await asyncio.to_thread(send_too_large_a_batch, lab.settings.bootstrap_servers, topic)
    consumer = await lab.consumer(topic, options=dataclasses.replace(lab.quiet, stop_at_damaged_batch=True))
    with pytest.raises(ConfigurationError, match=r"@0 cannot be decompressed"):
        await consumer.fetch(1, 30)


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_a_reader_steps_over_it(lab: RealLab) -> None:
    """Dead letters and cancels behind it are read."""
    topic = lab.topic()
    await lab.send(topic, "before")
    await asyncio.to_thread(send_too_large_a_batch, lab.settings.bootstrap_servers, topic)
    await lab.send(topic, "after")
    reader = await lab.reader(topic)
    records: list[Record] = []
    async with asyncio.timeout(60):
        while not reader.caught_up.is_set():
            records += await reader.fetch(10)
    assert [(record.offset, record.next_offset) for record in records] == [(0, 1), (1, 121), (121, 122)]
