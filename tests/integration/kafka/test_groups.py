"""Which consumer groups read topics, asked of a real Kafka."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ClientPartition

from kallback.kafka import ConfluentProducer, OutgoingRecord, TopicPartition, groups_of
from kallback.settings import KafkaSettings
from kallback.testing import TopicFactory

pytestmark = pytest.mark.integration


async def test_the_lag_of_a_group_is_that_of_all_its_topics(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """A bridge with several results topics has one group; each of its positions is told with its topic."""
    first, second, other = (topics_factory(name) for name in ("first", "second", "other"))
    async with ConfluentProducer(kafka_settings) as producer:
        for topic in (first, first, first, second, second, other):
            await producer.send(OutgoingRecord(topic, b"{}"))
    group = f"of-{first}"
    await asyncio.to_thread(_commit, kafka_settings, group, {first: 1, second: 1, other: 1})

    found = await groups_of(kafka_settings, [first, second])

    [ours] = [each for each in found if each.name == group]
    assert ours.committed == {TopicPartition(first, 0): 1, TopicPartition(second, 0): 1}
    assert ours.lag == 3


def _commit(settings: KafkaSettings, group: str, positions: dict[str, int]) -> None:
    client = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": group})
    client.commit(offsets=[ClientPartition(topic, 0, at) for topic, at in positions.items()], asynchronous=False)
    client.close()
