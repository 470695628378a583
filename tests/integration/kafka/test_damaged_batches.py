"""A batch that a client cannot read costs its own records only."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.integration.unreadable_records import RECORDS_OF_A_BATCH as RECORDS
from tests.integration.unreadable_records import send_too_large_a_batch

from kallback.protocol.errors import ConfigurationError
from kallback.testing.servers.kafka import LocalKafka

if TYPE_CHECKING:
    from tests.integration.kafka.labs import RealLab

    from kallback.kafka import Record
    from kallback.testing import KafkaServer

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)


@BOTH
async def test_the_batch_is_stepped_over(lab: RealLab) -> None:
    """It is one unreadable record of exactly its offsets, and what lies behind it is read, also after a restart."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "before")
    await asyncio.to_thread(send_too_large_a_batch, lab.settings.bootstrap_servers, topic)
    await lab.send(topic, "after")
    consumer = await lab.consumer(topic, group)
    first, bad, last = await lab.receive(consumer, 3)
    assert (first.value, last.value, last.offset) == (b"before", b"after", RECORDS + 1)
    assert bad.unreadable is not None
    assert (bad.offset, bad.next_offset) == (1, RECORDS + 1)
    consumer.done(first)
    consumer.done(bad)
    await consumer.stop()
    assert await lab.committed(group, topic) == {0: RECORDS + 1}
    assert lab.values(await lab.receive(await lab.consumer(topic, group), 1)) == ["after"]


@BOTH
async def test_who_would_rather_stop_can(lab: RealLab) -> None:
    """With the option the consumer ends, and says at which offset."""
    topic = lab.topic()
    await asyncio.to_thread(send_too_large_a_batch, lab.settings.bootstrap_servers, topic)
    consumer = await lab.consumer(topic, options=dataclasses.replace(lab.quiet, stop_at_damaged_batch=True))
    with pytest.raises(ConfigurationError, match=r"@0 cannot be read"):
        await consumer.fetch(1, 30)


@BOTH
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


def damage_last_batch(server: KafkaServer, topic: str) -> None:
    """Change the last byte of a topic's log, as a bad disk does."""
    if not isinstance(server, LocalKafka):
        pytest.skip("needs the data directory of the broker")
    (log,) = (server.directory / "data" / f"{topic}-0").glob("*.log")
    with log.open("r+b") as file:
        file.seek(-1, 2)
        (byte,) = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte ^ 0xFF]))


@BOTH
async def test_a_batch_that_a_disk_has_damaged_is_stepped_over(lab: RealLab, kafka_server: KafkaServer) -> None:
    """Clients check the checksum: nothing is handed out that was not sent."""
    topic = lab.topic()
    await lab.send(topic, "before")
    await lab.send(topic, "damaged")
    damage_last_batch(kafka_server, topic)
    await lab.send(topic, "after")
    first, bad, last = await lab.receive(await lab.consumer(topic), 3)
    assert (first.value, last.value) == (b"before", b"after")
    assert bad.unreadable is not None
    assert (bad.offset, bad.next_offset) == (1, 2)
