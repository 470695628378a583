"""`kallback dead-letters` on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator

import pytest
from click.testing import CliRunner, Result

from kallback.cli.dead_letters.commands import dead_letters
from kallback.kafka import ConfluentProducer, DeadLetters, Headers, OutgoingRecord, Position, Record, find_record
from kallback.protocol import MissingTopicError
from kallback.settings import KafkaSettings, Topics
from kallback.testing import TopicFactory
from kallback.testing.servers.base import KafkaServer

pytestmark = pytest.mark.integration

ODD: Headers = (("a", None), ("a", b"\x00\xff"), ("a", b""), ("é", b"1"))


class DeadLetterEnv:
    """Writes dead letters and runs the command."""

    def __init__(self, settings: KafkaSettings, topics: Topics, producer: ConfluentProducer) -> None:
        self.settings = settings
        self.topics = topics
        self.producer = producer
        self._letters = DeadLetters(producer, topics.dead_letters, group="bridge")

    async def dead_letter(self, record: OutgoingRecord, reason: str = "wrong-tag") -> Record:
        """Send a record, dead-letter it, and return it as it was received."""
        received = await self.at(await self.producer.send(record))
        await self._letters.publish(received, reason, "because")
        return received

    async def at(self, position: Position) -> Record:
        """The record at a position."""
        found = await find_record(self.settings, position)
        assert found is not None
        return found

    async def run(self, *arguments: str) -> Result:
        """The command, as an operator runs it."""
        environment = {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "KALLBACK_TOPICS_PREFIX": self.topics.prefix,
        }
        return await asyncio.to_thread(CliRunner(env=environment).invoke, dead_letters, list(arguments))


@pytest.fixture
async def env(kafka_server: KafkaServer, topic_names: Topics) -> AsyncGenerator[DeadLetterEnv]:
    """Topics of the test's own."""
    settings = KafkaSettings(kafka_server.bootstrap_servers)
    async with ConfluentProducer(settings) as producer:
        yield DeadLetterEnv(settings, topic_names, producer)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [(b"\xff", b"\x00\xfe", ODD), (None, b"", ()), (b"k", None, (("kallback-token", b"t"),)), (b"", b"v", ())],
)
async def test_a_replay_is_byte_for_byte(
    env: DeadLetterEnv, topics_factory: TopicFactory, key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    """Nulls, empties, duplicates, bytes that are no text: the same record is sent."""
    topic = topics_factory("source")
    first = await env.dead_letter(OutgoingRecord(topic, value, key, headers))
    result = await env.run("replay", "--all", "--yes")
    assert result.stdout == "Replayed 1 of 1 dead letter.\n", result.output
    again = await env.at(Position(topic, 0, first.offset + 1))
    assert (again.key, again.value, again.headers) == (first.key, first.value, first.headers)


async def test_many_letters_are_replayed_once(env: DeadLetterEnv) -> None:
    """Over all partitions, in several batches; nothing is left, nothing is doubled."""
    source = Record(env.topics.results, 0, 1, 1, None, b"v", ())
    letters = DeadLetters(env.producer, env.topics.dead_letters, group="bridge")
    await asyncio.gather(*(letters.publish(source, "late", str(number)) for number in range(350)))
    assert (await env.run("replay", "--reason", "late", "--limit", "120", "--yes")).exit_code == 0
    assert (await env.run("replay", "--reason", "late", "--yes")).stdout == "Replayed 230 of 230 dead letters.\n"
    assert (await env.run("list")).stdout == ""
    rows = [json.loads(line) for line in (await env.run("list", "--replayed", "--json")).stdout.splitlines()]
    assert (len(rows), all(row["replayed_at"] for row in rows)) == (350, True)


async def test_a_time_leaves_out_what_is_older(env: DeadLetterEnv, topics_factory: TopicFactory) -> None:
    """Filtered by the time at which it was written."""
    topic = topics_factory("source")
    await env.dead_letter(OutgoingRecord(topic, b"old"))
    middle = int(time.time() * 1000) + 2
    await asyncio.sleep(0.01)  # the clock must pass it
    await env.dead_letter(OutgoingRecord(topic, b"newer"))
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle / 1000)) + f".{middle % 1000:03}"
    (row,) = [json.loads(line) for line in (await env.run("list", "--json", "--since", since)).stdout.splitlines()]
    assert row["size"] == len("newer")


async def test_a_stub_is_replayed_from_its_source(env: DeadLetterEnv, topics_factory: TopicFactory) -> None:
    """The dead-letter topic did not take the value; the topic that it came from still holds it."""
    big = topics_factory("big", config={"max.message.bytes": "5000000"})
    first = await env.dead_letter(OutgoingRecord(big, b"x" * 2_000_000, b"k", ODD))
    result = await env.run("replay", "--all", "--yes")
    assert result.stdout == "Replayed 1 of 1 dead letter.\n", result.output
    again = await env.at(Position(big, 0, 1))
    assert (again.key, again.value, again.headers) == (first.key, first.value, first.headers)


async def test_a_record_is_found_by_its_position_or_not_at_all(
    env: DeadLetterEnv, topics_factory: TopicFactory
) -> None:
    """No such offset, no such partition, no such topic."""
    topic = topics_factory("source")
    await env.producer.send(OutgoingRecord(topic, b"v"))
    assert (await env.at(Position(topic, 0, 0))).value == b"v"
    assert await find_record(env.settings, Position(topic, 0, 1)) is None
    assert await find_record(env.settings, Position(topic, 9, 0)) is None
    with pytest.raises(MissingTopicError):
        await find_record(env.settings, Position("no-such-topic", 0, 0))
