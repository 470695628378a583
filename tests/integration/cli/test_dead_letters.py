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


class Post:
    """Buries records and runs the command."""

    def __init__(self, settings: KafkaSettings, topics: Topics, producer: ConfluentProducer) -> None:
        self.settings = settings
        self.topics = topics
        self.producer = producer
        self._letters = DeadLetters(producer, topics.dead_letters, group="bridge")

    async def die(self, record: OutgoingRecord, reason: str = "wrong-tag") -> Record:
        """Send a record, then let it die; return it as it was received."""
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
async def post(kafka_server: KafkaServer, topic_names: Topics) -> AsyncGenerator[Post]:
    """Topics of the test's own."""
    settings = KafkaSettings(kafka_server.bootstrap_servers)
    async with ConfluentProducer(settings) as producer:
        yield Post(settings, topic_names, producer)


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [(b"\xff", b"\x00\xfe", ODD), (None, b"", ()), (b"k", None, (("kallback-token", b"t"),)), (b"", b"v", ())],
)
async def test_a_replay_is_byte_for_byte(
    post: Post, topics_factory: TopicFactory, key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    """Nulls, empties, doubles, bytes that are no text: what died is what is sent."""
    topic = topics_factory("source")
    died = await post.die(OutgoingRecord(topic, value, key, headers))
    result = await post.run("replay", "--all", "--yes")
    assert result.stdout == "Replayed 1 of 1 dead letter.\n", result.output
    again = await post.at(Position(topic, 0, died.offset + 1))
    assert (again.key, again.value, again.headers) == (died.key, died.value, died.headers)


async def test_many_letters_are_replayed_once(post: Post) -> None:
    """Over all partitions, in several batches; nothing is left, nothing is doubled."""
    source = Record(post.topics.results, 0, 1, 1, None, b"v", ())
    letters = DeadLetters(post.producer, post.topics.dead_letters, group="bridge")
    await asyncio.gather(*(letters.publish(source, "late", str(number)) for number in range(350)))
    assert (await post.run("replay", "--reason", "late", "--limit", "120", "--yes")).exit_code == 0
    assert (await post.run("replay", "--reason", "late", "--yes")).stdout == "Replayed 230 of 230 dead letters.\n"
    assert (await post.run("list")).stdout == ""
    rows = [json.loads(line) for line in (await post.run("list", "--replayed", "--json")).stdout.splitlines()]
    assert (len(rows), all(row["replayed_at"] for row in rows)) == (350, True)


async def test_a_time_leaves_out_what_is_older(post: Post, topics_factory: TopicFactory) -> None:
    """Filtered by the time of death."""
    topic = topics_factory("source")
    await post.die(OutgoingRecord(topic, b"old"))
    middle = int(time.time() * 1000) + 2
    await asyncio.sleep(0.01)  # the clock must pass it
    await post.die(OutgoingRecord(topic, b"newer"))
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle / 1000)) + f".{middle % 1000:03}"
    (row,) = [json.loads(line) for line in (await post.run("list", "--json", "--since", since)).stdout.splitlines()]
    assert row["size"] == len("newer")


async def test_a_stub_is_replayed_from_its_source(post: Post, topics_factory: TopicFactory) -> None:
    """The dead-letter topic did not take the value; the topic that it came from still holds it."""
    big = topics_factory("big", config={"max.message.bytes": "5000000"})
    died = await post.die(OutgoingRecord(big, b"x" * 2_000_000, b"k", ODD))
    result = await post.run("replay", "--all", "--yes")
    assert result.stdout == "Replayed 1 of 1 dead letter.\n", result.output
    again = await post.at(Position(big, 0, 1))
    assert (again.key, again.value, again.headers) == (died.key, died.value, died.headers)


async def test_a_record_is_found_by_its_position_or_not_at_all(post: Post, topics_factory: TopicFactory) -> None:
    """No such offset, no such partition, no such topic."""
    topic = topics_factory("source")
    await post.producer.send(OutgoingRecord(topic, b"v"))
    assert (await post.at(Position(topic, 0, 0))).value == b"v"
    assert await find_record(post.settings, Position(topic, 0, 1)) is None
    assert await find_record(post.settings, Position(topic, 9, 0)) is None
    with pytest.raises(MissingTopicError):
        await find_record(post.settings, Position("no-such-topic", 0, 0))
