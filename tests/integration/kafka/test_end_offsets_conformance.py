"""What every `EndOffsets` does, in memory and asked of a real Kafka."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from tests.integration.kafka.labs import Lab, MemoryLab, RealLab, transaction

from kallback.kafka import EndOffsets, TopicPartition, client_of, clients_of
from kallback.protocol.errors import KafkaUnavailableError, MissingTopicError
from kallback.settings import KafkaSettings
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.integration
real = pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)


@pytest.fixture
async def asked(lab: Lab) -> AsyncIterator[EndOffsets]:
    """Who is asked."""
    ends = lab.new_end_offsets()
    yield ends
    await ends.stop()


async def ends(asked: EndOffsets, *topics: str) -> dict[TopicPartition, int]:
    """Ask until there is an answer: the leader of a fresh topic may have yet to hear of it."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await asked.of(topics)
            except KafkaUnavailableError:
                await asyncio.sleep(0.1)


async def test_an_empty_topic_ends_at_nought(lab: Lab, asked: EndOffsets) -> None:
    """Every partition is named, also one that holds nothing."""
    topic = lab.topic(partitions=2)
    assert await ends(asked, topic) == {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0}


async def test_two_topics_in_one_question(lab: Lab, asked: EndOffsets) -> None:
    """Each partition of each topic, as of this very moment."""
    first, second = lab.topic(), lab.topic()
    await lab.send(first, *"abc")
    assert await ends(asked, first, second) == {TopicPartition(first, 0): 3, TopicPartition(second, 0): 0}
    await lab.send(second, "d")
    assert await ends(asked, first, second) == {TopicPartition(first, 0): 3, TopicPartition(second, 0): 1}


async def test_no_topics_have_no_ends(asked: EndOffsets) -> None:
    """A question about nothing has an answer."""
    assert await asked.of([]) == {}


async def test_a_missing_topic_says_how_to_create_it(lab: Lab, asked: EndOffsets) -> None:
    """Also when another one exists."""
    with pytest.raises(MissingTopicError, match="kallback topics create no-such-topic"):
        await asked.of([lab.topic(), "no-such-topic"])


async def test_stopping_twice_is_fine(asked: EndOffsets) -> None:
    """Stop before the first question, and again."""
    await asked.stop()
    await asked.stop()


@pytest.mark.parametrize("lab", ["memory"], indirect=True)
async def test_a_broker_in_memory_that_is_switched_off_is_no_answer(lab: MemoryLab, asked: EndOffsets) -> None:
    """As a real one."""
    topic = lab.topic()
    lab.broker.available = False
    with pytest.raises(KafkaUnavailableError):
        await asked.of([topic])


@pytest.mark.parametrize("name", ["confluent", "aiokafka"])
async def test_a_broker_that_is_away_is_no_answer(name: str) -> None:
    """Before the first question or between two: no caller is told an end that may be wrong."""
    topic = f"gone-{uuid.uuid4().hex[:8]}"
    with start_kafka(KafkaOptions()) as server:
        settings = KafkaSettings(server.bootstrap_servers, connect_timeout=2)
        TopicFactory(server).make([topic])
        clients = clients_of(client_of(name), settings)
        asked = clients.end_offsets()
        assert await ends(asked, topic) == {TopicPartition(topic, 0): 0}
    with pytest.raises(KafkaUnavailableError):
        await asked.of([topic])
    with pytest.raises(KafkaUnavailableError):
        await clients.end_offsets().of([topic])
    await asked.stop()


@real  # memory has no transactions
async def test_an_open_transaction_is_beyond_the_end(lab: RealLab, asked: EndOffsets) -> None:
    """It is, unless uncommitted records are asked for; once committed, records and marker count."""
    topic = lab.topic()
    with transaction(lab.settings, topic, "a"):
        assert await ends(asked, topic) == {TopicPartition(topic, 0): 0}
        assert await asked.of([topic], uncommitted=True) == {TopicPartition(topic, 0): 1}
    async with asyncio.timeout(60):  # Kafka writes the marker after it has answered
        while await asked.of([topic]) != {TopicPartition(topic, 0): 2}:
            pass
