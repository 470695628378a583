"""What only one client can do, or must survive."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from typing import TYPE_CHECKING

import pytest

from kallback.kafka import (
    AiokafkaConsumer,
    ConfluentConsumer,
    ConfluentProducer,
    GroupProtocol,
    OutgoingRecord,
)
from kallback.protocol import ConfigurationError, InstanceIdTakenError
from kallback.settings import KafkaSettings
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

if TYPE_CHECKING:
    from tests.integration.kafka.labs import Lab

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_a_kip_848_member_reads_and_commits(lab: Lab) -> None:
    """The new group protocol, as an option."""
    topic, group = lab.topic(), lab.new_group()
    options = dataclasses.replace(lab.quiet, group_protocol=GroupProtocol.CONSUMER)
    await lab.send(topic, "a", "b")
    consumer = await lab.consumer(topic, group, options)
    first, _second = await lab.receive(consumer, 2)
    consumer.done(first)
    await consumer.stop()
    assert lab.values(await lab.receive(await lab.consumer(topic, group, options), 1)) == ["b"]


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
async def test_a_static_member_comes_back_after_a_crash_without_waiting(lab: Lab) -> None:
    """Under the same name the successor has its partitions long before the session time-out of 45 s."""
    topic, group = lab.topic(), lab.new_group()
    options = dataclasses.replace(lab.quiet, group_instance_id="one")
    await lab.send(topic, "a")
    await lab.crash(await lab.consumer(topic, group, options))
    successor = await lab.consumer(topic, group, options)
    assert lab.values(await lab.receive(successor, 1, patience=40)) == ["a"]


@pytest.mark.parametrize("commits", [False, True], ids=["by-heartbeat", "by-commit"])
@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
async def test_a_member_whose_instance_id_is_taken_over_ends_with_a_sentence(lab: Lab, *, commits: bool) -> None:
    """It does not take the id back: the other member reads on."""
    topic, group = lab.topic(), lab.new_group()
    options = dataclasses.replace(lab.quiet, group_instance_id="twin", session_timeout=6, drain_timeout=1)
    older = await lab.consumer(topic, group, options)
    await lab.send(topic, "a", "b")
    first, _ = await lab.receive(older, 2)
    younger = await lab.consumer(topic, group, options)
    await lab.receive(younger, 2)
    if commits:
        older.done(first)
        await older.commit()

    async def read_on() -> None:
        while True:
            await older.fetch(10, 1)

    with pytest.raises(InstanceIdTakenError, match=r"as instance 'twin' failed.*give each process its own"):
        await asyncio.wait_for(read_on(), 60)
    await lab.send(topic, "c")
    assert lab.values(await lab.receive(younger, 1)) == ["c"]


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_named_and_unnamed_members_do_not_mix(lab: Lab) -> None:
    """Kafka refuses the second kind of a group; instead of joining for ever it says what to set."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a")
    await lab.receive(await lab.consumer(topic, group, dataclasses.replace(lab.quiet, group_instance_id="one")), 1)
    unnamed = await lab.consumer(topic, group)

    async def refused() -> None:
        while not await unnamed.fetch(1, 1.0):
            pass

    with pytest.raises(ConfigurationError, match="an instance id, or none"):
        await asyncio.wait_for(refused(), 60)


@pytest.mark.parametrize("lab", ["aiokafka"], indirect=True)
async def test_a_client_that_joins_anew_loses_nothing(lab: Lab) -> None:
    """After a stall what is done stays done, and what is unfinished comes again."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    consumer = await lab.consumer(topic, group)
    first, second = await lab.receive(consumer, 2)
    consumer.done(first)
    assert isinstance(consumer, AiokafkaConsumer)
    await consumer.join_anew()
    consumer.done(second)  # of an epoch that is over
    await lab.send(topic, "c")
    assert lab.values(await lab.receive(consumer, 2)) == ["b", "c"]


async def test_one_producer_serves_several_event_loops(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """Each loop gets its own acknowledgements, also from a producer that nobody started."""
    topic = topics_factory("loops")
    producer = ConfluentProducer(kafka_settings)

    async def ten() -> set[int]:
        sends = (producer.send(OutgoingRecord(topic, b"x")) for _ in range(10))
        return {position.offset for position in await asyncio.gather(*sends)}

    others = [asyncio.to_thread(asyncio.run, ten()) for _ in range(3)]
    offsets = await asyncio.gather(ten(), *others)
    await producer.stop()
    assert set().union(*offsets) == set(range(40))


async def test_a_full_queue_slows_senders_down_in_order(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """With room for ten records only, five hundred sends at once all succeed, in order."""
    topic = topics_factory("narrow")
    narrow = dataclasses.replace(kafka_settings, extra={"queue.buffering.max.messages": "10"})
    async with ConfluentProducer(narrow) as producer:
        sends = (producer.send(OutgoingRecord(topic, b"x", b"k")) for _ in range(500))
        positions = await asyncio.gather(*sends)
    assert [position.offset for position in positions] == list(range(500))


@pytest.mark.parametrize("kind", [ConfluentConsumer, AiokafkaConsumer])
async def test_stop_ends_though_kafka_is_gone(kind: type[ConfluentConsumer | AiokafkaConsumer]) -> None:
    """A commit that cannot succeed does not hold up the end of the process."""
    with start_kafka(KafkaOptions()) as server:
        settings = KafkaSettings(server.bootstrap_servers)
        topic = f"gone-{uuid.uuid4().hex[:8]}"
        TopicFactory(server).make([topic])
        async with ConfluentProducer(settings) as producer:
            await producer.send(OutgoingRecord(topic, b"x"))
        consumer = kind(settings, [topic], "g")
        await consumer.start()
        (record,) = await consumer.fetch(1, 30)
        consumer.done(record)
    async with asyncio.timeout(60):
        await consumer.stop()
