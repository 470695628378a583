"""What every `EndOffsets` does, in memory and asked of a real Kafka."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from tests.integration.kafka.labs import Lab, MemoryLab, RealLab, transaction

from kallback.kafka import ConfluentEndOffsets, EndOffsets, MemoryEndOffsets, TopicPartition
from kallback.protocol.errors import KafkaUnavailableError, MissingTopicError
from kallback.settings import KafkaSettings
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.integration
both = pytest.mark.parametrize("lab", ["memory", "confluent"], indirect=True)


@pytest.fixture
async def asked(lab: Lab) -> AsyncIterator[EndOffsets]:
    """Who is asked."""
    if isinstance(lab, MemoryLab):
        ends: EndOffsets = MemoryEndOffsets(lab.broker)
    else:
        assert isinstance(lab, RealLab)
        ends = ConfluentEndOffsets(lab.settings)
    yield ends
    await ends.stop()


@both
async def test_an_empty_topic_ends_at_nought(lab: Lab, asked: EndOffsets) -> None:
    """Every partition is named, also one that holds nothing."""
    topic = lab.topic(partitions=2)
    assert await asked.of([topic]) == {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0}


@both
async def test_two_topics_in_one_question(lab: Lab, asked: EndOffsets) -> None:
    """Each partition of each topic, as of this very moment."""
    first, second = lab.topic(), lab.topic()
    await lab.send(first, *"abc")
    assert await asked.of([first, second]) == {TopicPartition(first, 0): 3, TopicPartition(second, 0): 0}
    await lab.send(second, "d")
    assert await asked.of([first, second]) == {TopicPartition(first, 0): 3, TopicPartition(second, 0): 1}


@both
async def test_no_topics_have_no_ends(asked: EndOffsets) -> None:
    """A question about nothing has an answer."""
    assert await asked.of([]) == {}


@both
async def test_a_missing_topic_says_how_to_create_it(lab: Lab, asked: EndOffsets) -> None:
    """Also when another one exists."""
    with pytest.raises(MissingTopicError, match="kallback topics create no-such-topic"):
        await asked.of([lab.topic(), "no-such-topic"])


@both
async def test_stopping_twice_is_fine(asked: EndOffsets) -> None:
    """Stop before the first question, and again."""
    await asked.stop()
    await asked.stop()


@both
async def test_a_broker_that_is_away_is_no_answer(lab: Lab) -> None:
    """Before the first question or between two: nobody is told an end that may be wrong."""
    if isinstance(lab, MemoryLab):
        topic, memory = lab.topic(), MemoryEndOffsets(lab.broker)
        lab.broker.available = False
        with pytest.raises(KafkaUnavailableError):
            await memory.of([topic])
        return
    topic = f"gone-{uuid.uuid4().hex[:8]}"
    with start_kafka(KafkaOptions()) as server:
        settings = KafkaSettings(server.bootstrap_servers, connect_timeout=2)
        TopicFactory(server).make([topic])
        asked = ConfluentEndOffsets(settings)
        assert await asked.of([topic]) == {TopicPartition(topic, 0): 0}
    with pytest.raises(KafkaUnavailableError):
        await asked.of([topic])
    with pytest.raises(KafkaUnavailableError):
        await ConfluentEndOffsets(settings).of([topic])


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)  # memory has no transactions
async def test_an_open_transaction_is_beyond_the_end(lab: RealLab, asked: EndOffsets) -> None:
    """The end is that of committed records; once committed, records and marker count."""
    topic = lab.topic()
    with transaction(lab.settings, topic, "a"):
        assert await asked.of([topic]) == {TopicPartition(topic, 0): 0}
    async with asyncio.timeout(20):  # Kafka writes the marker after it has answered
        while await asked.of([topic]) != {TopicPartition(topic, 0): 2}:
            pass
