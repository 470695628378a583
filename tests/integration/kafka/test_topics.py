"""Topics are made on purpose and checked at start."""

from __future__ import annotations

import socket
import uuid
from typing import TYPE_CHECKING

import pytest

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaProducer,
    AiokafkaReader,
    ConfluentConsumer,
    ConfluentProducer,
    Created,
    Differs,
    Existed,
    Missing,
    TopicSpec,
    check_topics,
    compare_topics,
    create_topics,
    find_missing,
)
from kallback.kafka.aiokafka import topics as aiokafka_topics
from kallback.lifecycle import StartStop
from kallback.protocol.errors import ConfigurationError, KafkaUnavailableError, MissingTopicError
from kallback.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    TopicCheck = Callable[[KafkaSettings, list[str]], Awaitable[None]]

pytestmark = pytest.mark.integration

NAMES = ["confluent-producer", "aiokafka-producer", "confluent-consumer", "aiokafka-consumer", "reader"]
CLIENTS: list[Callable[[KafkaSettings], StartStop]] = [
    ConfluentProducer,
    AiokafkaProducer,
    lambda settings: ConfluentConsumer(settings, ["t"], "g"),
    lambda settings: AiokafkaConsumer(settings, ["t"], "g"),
    lambda settings: AiokafkaReader(settings, "t"),
]


async def test_what_is_missing_is_created_and_what_exists_is_compared(kafka_settings: KafkaSettings) -> None:
    """The first time a topic is created, then it existed, and wanted otherwise it differs."""
    name = f"made-{uuid.uuid4().hex[:8]}"
    wanted = TopicSpec(name, partitions=2, config={"retention.ms": "60000"})
    assert await create_topics(kafka_settings, [wanted]) == [Created(name)]
    await check_topics(kafka_settings, [name])
    assert await create_topics(kafka_settings, [wanted]) == [Existed(name)]
    otherwise = TopicSpec(name, partitions=3, config={"retention.ms": "1"})
    assert await create_topics(kafka_settings, [otherwise]) == [
        Differs(name, ("partitions: 2, wanted 3", "retention.ms: 60000, wanted 1"))
    ]


async def test_topics_are_compared_and_not_changed(kafka_settings: KafkaSettings) -> None:
    """What is missing stays missing."""
    name, nowhere = f"made-{uuid.uuid4().hex[:8]}", f"nowhere-{uuid.uuid4().hex[:8]}"
    wanted = [TopicSpec(name, partitions=2), TopicSpec(nowhere)]
    await create_topics(kafka_settings, wanted[:1])
    await check_topics(kafka_settings, [name])
    assert await compare_topics(kafka_settings, wanted) == [Existed(name), Missing(nowhere)]
    assert await compare_topics(kafka_settings, wanted) == [Existed(name), Missing(nowhere)]
    assert await compare_topics(kafka_settings, [TopicSpec(name)]) == [Differs(name, ("partitions: 2, wanted 3",))]


async def test_topics_that_do_not_exist_are_found_and_not_created(kafka_settings: KafkaSettings) -> None:
    """All are asked for at once; a name that no topic can have is one of them."""
    name = f"made-{uuid.uuid4().hex[:8]}"
    await create_topics(kafka_settings, [TopicSpec(name, partitions=1)])
    nowhere = [f"nowhere-{number:03}" for number in range(500)]
    wanted = [Missing("no topic"), *map(Missing, nowhere)]
    for _ in range(2):
        assert await find_missing(kafka_settings, [name, "no topic", *nowhere]) == wanted
    assert await find_missing(kafka_settings, []) == []


async def test_a_silent_kafka_hides_no_topic() -> None:
    """Without an answer nothing is said about topics."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(KafkaUnavailableError):
            await find_missing(KafkaSettings(f"127.0.0.1:{silent.getsockname()[1]}", connect_timeout=1), ["t"])


async def test_a_refused_topic_says_what_kafka_says(kafka_settings: KafkaSettings) -> None:
    """An impossible wish is an error of configuration."""
    with pytest.raises(ConfigurationError, match=r"creating .* refused"):
        await create_topics(kafka_settings, [TopicSpec(f"x-{uuid.uuid4().hex}", replication=9)])


@pytest.mark.parametrize("check", [check_topics, aiokafka_topics.check_topics], ids=["any", "aiokafka"])
async def test_a_missing_topic_names_the_command(kafka_settings: KafkaSettings, check: TopicCheck) -> None:
    """Either client finds the topic missing and says what creates it."""
    with pytest.raises(MissingTopicError, match="create it with: kallback topics create nowhere"):
        await check(kafka_settings, ["nowhere"])


@pytest.mark.parametrize("make", CLIENTS, ids=NAMES)
async def test_a_wrong_address_is_an_error_that_says_what_to_set(make: Callable[[KafkaSettings], StartStop]) -> None:
    """Nobody listens there: after the connect time-out the sentence names address and variable."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    client = make(KafkaSettings(address, connect_timeout=1))
    with pytest.raises(KafkaUnavailableError, match=rf"{address}.*KALLBACK_KAFKA_BOOTSTRAP_SERVERS"):
        await client.start()
    await client.stop()


@pytest.mark.parametrize("make", CLIENTS, ids=NAMES)
async def test_a_silent_address_is_given_up_in_time(make: Callable[[KafkaSettings], StartStop]) -> None:
    """Somebody listens who is no Kafka and never answers: the connect time-out holds all the same."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = make(KafkaSettings(f"127.0.0.1:{silent.getsockname()[1]}", connect_timeout=1))
        with pytest.raises(KafkaUnavailableError, match="KALLBACK_KAFKA_BOOTSTRAP_SERVERS"):
            await client.start()
        await client.stop()
