"""One bootstrap server of several that is dead or silent delays no start."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Generator

import pytest

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaProducer,
    AiokafkaReader,
    ConfluentConsumer,
    ConfluentProducer,
    ConfluentReader,
    check_topics,
    compare_topics,
    create_topics,
)
from kallback.kafka.aiokafka.committed_offsets import commits_of
from kallback.kafka.aiokafka.topics import check_topics as aiokafka_check_topics
from kallback.kafka.records import TopicPartition
from kallback.kafka.topics import TopicSpec
from kallback.lifecycle import StartStop
from kallback.protocol.errors import KafkaUnavailableError
from kallback.settings import KafkaSettings
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.integration

TOPIC = "bootstrap"
STARTS_S = 30.0
"""Less than the 40 s that aiokafka itself gives each server."""
Make = Callable[[KafkaSettings, str], StartStop]
CLIENTS: dict[str, Make] = {
    "confluent-producer": lambda settings, _: ConfluentProducer(settings),
    "aiokafka-producer": lambda settings, _: AiokafkaProducer(settings),
    "confluent-consumer": lambda settings, topic: ConfluentConsumer(settings, [topic], "g"),
    "aiokafka-consumer": lambda settings, topic: AiokafkaConsumer(settings, [topic], "g"),
    "confluent-reader": ConfluentReader,
    "aiokafka-reader": AiokafkaReader,
}


@pytest.fixture
def silent() -> Generator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_eight_starts_of_eight_are_not_delayed(
    make: Make, silent: str, dead: str, kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """Whichever of the servers a client asks first."""
    topic = topics_factory(TOPIC)
    servers = f"{silent},{dead},{kafka_settings.bootstrap_servers}"
    for _ in range(8):
        client = make(KafkaSettings(servers, connect_timeout=STARTS_S), topic)
        await client.start()
        await client.stop()


async def test_topics_are_checked_and_created_past_a_silent_server(
    silent: str, kafka_settings: KafkaSettings, topics_factory: TopicFactory
) -> None:
    """What the commands do, and what a worker asks at each rebalance."""
    topic = topics_factory(TOPIC)
    settings = KafkaSettings(f"{silent},{kafka_settings.bootstrap_servers}", connect_timeout=STARTS_S)
    async with asyncio.timeout(6 * STARTS_S):
        await check_topics(settings, [topic])
        await aiokafka_check_topics(settings, [topic])
        await compare_topics(settings, [TopicSpec(topic)])
        await create_topics(settings, [TopicSpec(topic)])
        assert await commits_of(settings, "nobody", [TopicPartition(topic, 0)]) == {}


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS)
async def test_the_error_says_of_each_server_what_became_of_it(make: Make, silent: str, dead: str) -> None:
    """The silent one did not answer, the dead one refused."""
    client = make(KafkaSettings(f"{silent},{dead}", connect_timeout=2), TOPIC)
    with pytest.raises(KafkaUnavailableError, match=rf"{silent}: no answer; {dead}: .*[Cc]onnect.*KALLBACK_KAFKA_BOO"):
        await client.start()
    await client.stop()
