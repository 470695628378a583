"""Groups whose members have different clients, or belong to another application."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka import Consumer as ForeignClient
from tests.integration.kafka.labs import QUIET

from kallback.kafka import (
    AiokafkaConsumer,
    Assignment,
    ConfluentConsumer,
    Consumer,
    ConsumerOptions,
    GroupProtocol,
)
from kallback.protocol.errors import ConfigurationError
from kallback.settings import KafkaSettings
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.integration

EAGER = dataclasses.replace(QUIET, assignment=Assignment.EAGER)
NAMED = dataclasses.replace(QUIET, session_timeout=6, drain_timeout=1)
KINDS: list[type[AiokafkaConsumer | ConfluentConsumer]] = [ConfluentConsumer, AiokafkaConsumer]


@contextlib.asynccontextmanager
async def fetching(consumer: Consumer) -> AsyncIterator[Consumer]:
    """A started consumer that fetches."""

    async def fetch() -> None:
        while True:
            await consumer.fetch(100, 1)

    async with consumer, asyncio.TaskGroup() as group:
        task = group.create_task(fetch())
        yield consumer
        task.cancel()


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Look until a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited 60 s for {what}"
        await asyncio.sleep(0.1)


async def fetch_for_ever(consumer: Consumer, foreign: ForeignClient | None = None) -> None:
    """Fetch until an error ends it, half a minute at most; the foreign member lives on meanwhile."""
    async with asyncio.timeout(60):
        while True:
            await consumer.fetch(1, 1)
            if foreign is not None:
                await asyncio.to_thread(foreign.poll, 0)


@pytest.mark.parametrize("kinds", [KINDS, KINDS[::-1]], ids=["confluent-first", "aiokafka-first"])
async def test_a_group_may_change_its_client_in_a_rolling_update(
    kinds: list[type[AiokafkaConsumer | ConfluentConsumer]], kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """Members of both clients share the partitions; the one that stays gets all."""
    topic = topics_factory("mixed", partitions=4)
    first, second = (kind(kafka_settings, [topic], f"g-{topic}", options=EAGER) for kind in kinds)
    async with fetching(second):
        async with fetching(first):
            await eventually(lambda: len(first.assignment()) == 2 == len(second.assignment()), "two partitions each")
        await eventually(lambda: len(second.assignment()) == 4, "all partitions")


@pytest.mark.parametrize("kinds", [KINDS, KINDS[::-1]], ids=["to-aiokafka", "to-confluent"])
async def test_named_members_may_change_their_client_one_by_one(
    kinds: list[type[AiokafkaConsumer | ConfluentConsumer]], kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """Each comes back under its instance id with the other client, as the bridges of a StatefulSet do."""
    topic = topics_factory("named", partitions=4)
    group, (old, new) = f"g-{topic}", kinds

    def member(kind: type[AiokafkaConsumer | ConfluentConsumer], name: str) -> Consumer:
        return kind(kafka_settings, [topic], group, options=dataclasses.replace(NAMED, group_instance_id=name))

    def shares(*members: Consumer) -> bool:
        owned = [each.assignment() for each in members]
        return len(set().union(*owned)) == 4 == sum(map(len, owned)) and all(owned)

    async with contextlib.AsyncExitStack() as until:
        second = member(old, "1")
        first_stays = await until.enter_async_context(contextlib.AsyncExitStack())
        second_stays = await until.enter_async_context(contextlib.AsyncExitStack())
        first = await first_stays.enter_async_context(fetching(member(old, "0")))
        await second_stays.enter_async_context(fetching(second))
        await eventually(lambda: shares(first, second), "a share for each")
        await first_stays.aclose()
        first = await until.enter_async_context(fetching(member(new, "0")))
        await eventually(lambda: shares(first, second), "a share for each client")
        await second_stays.aclose()
        second = await until.enter_async_context(fetching(member(new, "1")))
        await eventually(lambda: shares(first, second), "a share for each of the new ones")


@pytest.mark.parametrize("kinds", [KINDS, KINDS[::-1]], ids=["aiokafka-joins", "confluent-joins"])
async def test_bridges_without_names_that_change_their_client_are_told_the_cause(
    kinds: list[type[AiokafkaConsumer | ConfluentConsumer]], kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """The clients assign partitions in other ways there: the new one ends, and those that run go on."""
    topic = topics_factory("unnamed", partitions=2)
    running, joining = (kind(kafka_settings, [topic], f"g-{topic}", options=QUIET) for kind in kinds)
    async with fetching(running):
        await eventually(lambda: len(running.assignment()) == 2, "all partitions")
        async with joining:
            with pytest.raises(ConfigurationError, match=r"bridges.*instance id.*without one the same --client"):
                await fetch_for_ever(joining)
        assert len(running.assignment()) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_group_of_another_application_is_named(
    kind: type[AiokafkaConsumer | ConfluentConsumer], kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """Its members assign partitions in another way: the sentence names the group and what to choose."""
    topic = topics_factory("foreign")
    group = f"g-{topic}"
    foreign = ForeignClient(
        {
            "bootstrap.servers": kafka_settings.bootstrap_servers,
            "group.id": group,
            "partition.assignment.strategy": "range",
        }
    )
    foreign.subscribe([topic])
    async with asyncio.timeout(60):
        while not foreign.assignment():
            await asyncio.to_thread(foreign.poll, 0.5)
    ours = kind(kafka_settings, [topic], group, options=EAGER)
    await ours.start()
    with pytest.raises(ConfigurationError, match=rf"group '{group}'.*another application.*--group"):
        await fetch_for_ever(ours, foreign)
    await ours.stop()
    await asyncio.to_thread(foreign.close)


async def test_a_broker_without_the_new_group_protocol_ends_the_consumer_with_a_sentence() -> None:
    """It does not wait in silence for an assignment."""
    properties = {"group.coordinator.rebalance.protocols": "classic"}
    with start_kafka(KafkaOptions(embedded=False, properties=properties)) as server:
        topic = TopicFactory(server)("classic")
        options = ConsumerOptions(group_protocol=GroupProtocol.CONSUMER)
        settings = KafkaSettings(server.bootstrap_servers, connect_timeout=60)
        async with ConfluentConsumer(settings, [topic], "g", options=options) as consumer:
            with pytest.raises(ConfigurationError, match=r"'consumer' \(KIP-848\).*GroupProtocol\.CLASSIC"):
                await fetch_for_ever(consumer)
