"""Which consumer groups read topics, asked of a real Kafka."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ClientPartition

from kallback.kafka import ConfluentProducer, GroupMember, OutgoingRecord, TopicPartition, groups_of
from kallback.settings import KafkaSettings
from kallback.testing import TopicFactory, eventually

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


async def test_a_member_has_its_host_and_its_partitions(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """As the broker sees it; the lag of each partition is told."""
    topic = topics_factory("read")
    async with ConfluentProducer(kafka_settings) as producer:
        await producer.send(OutgoingRecord(topic, b"{}"))
    group = f"of-{topic}"
    client = Consumer({"bootstrap.servers": kafka_settings.bootstrap_servers, "group.id": group, "client.id": "ann"})
    client.subscribe([topic])
    try:

        async def read() -> GroupMember | None:
            await asyncio.to_thread(client.poll, 0.1)
            found = [each for each in await groups_of(kafka_settings, [topic]) if each.name == group]
            return next((member for each in found for member in each.readers), None)

        member = await eventually("a member with partitions", read)
        [ours] = [each for each in await groups_of(kafka_settings, [topic]) if each.name == group]
    finally:
        await asyncio.to_thread(client.close)
    assert (member.client, member.host, member.instance) == ("ann", "127.0.0.1", None)
    assert member.partitions == {TopicPartition(topic, 0)}
    assert ours.lags == {TopicPartition(topic, 0): 1}


def _commit(settings: KafkaSettings, group: str, positions: dict[str, int]) -> None:
    client = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": group})
    client.commit(offsets=[ClientPartition(topic, 0, at) for topic, at in positions.items()], asynchronous=False)
    client.close()
