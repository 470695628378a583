"""Committed offsets that are lost or set back while a member runs: it notices within 30 s, says it and commits again.

Here it looks every two seconds instead of every ten. Kafka refuses to delete the offsets of a group with members, so a
transaction sets them back: Kafka does not check who a transaction that commits offsets belongs to.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

import pytest
from confluent_kafka import Consumer as Client
from confluent_kafka import Producer as RawProducer
from confluent_kafka import TopicPartition as ClientPartition
from tests.integration.kafka.labs import RealLab

from kallback.kafka.aiokafka import topic_watch as aiokafka_watch
from kallback.kafka.confluent import topic_watch as confluent_watch

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)]

SET_BACK = "is gone or was set back"


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for topics and committed offsets every two seconds."""
    for module in (confluent_watch, aiokafka_watch):
        monkeypatch.setattr(module, "TOPIC_LOOK_INTERVAL_S", 2.0)


def set_back(lab: RealLab, group: str, topic: str, position: int) -> None:
    """Commit a position for a group that has members."""
    servers = lab.settings.bootstrap_servers
    producer = RawProducer({"bootstrap.servers": servers, "transactional.id": uuid.uuid4().hex, "log_level": 3})
    producer.init_transactions(30)
    producer.begin_transaction()
    stranger = Client({"bootstrap.servers": servers, "group.id": group})
    producer.send_offsets_to_transaction([ClientPartition(topic, 0, position)], stranger.consumer_group_metadata(), 30)
    producer.commit_transaction(30)
    stranger.close()


async def test_an_offset_that_is_set_back_is_committed_again(lab: RealLab, caplog: pytest.LogCaptureFixture) -> None:
    """Though nothing new was read: the next owner would do everything again."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *map(str, range(10)))
    consumer = await lab.consumer(topic, group)
    for record in await lab.receive(consumer, 10):
        consumer.done(record)
    await consumer.commit()
    fetching = asyncio.create_task(consumer.fetch(1, 60))
    await asyncio.to_thread(set_back, lab, group, topic, 3)
    with caplog.at_level(logging.ERROR):
        await lab.until(lambda: SET_BACK in caplog.text, "a line in the log")
    await consumer.commit()
    assert await lab.committed(group, topic) == {0: 10}
    await lab.send(topic, "next")
    assert lab.values(await fetching) == ["next"]
    assert sum(SET_BACK in each.getMessage() for each in caplog.records) == 1
