"""`kallback dead-letters` on a real Kafka."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator

import pytest
from click.testing import CliRunner, Result

from kallback.cli.dead_letters.commands import dead_letters
from kallback.kafka import (
    ConfluentProducer,
    DeadLetters,
    Headers,
    LetterSummary,
    OffsetRange,
    OutgoingRecord,
    Position,
    Record,
    find_record,
    list_topics,
)
from kallback.kafka.dead_letters.summaries import LastRecord
from kallback.protocol import (
    Attempt,
    AwakeableId,
    Cancel,
    CancelReason,
    Keyring,
    MissingTopicError,
    TaskHeaders,
    Token,
    completed_headers,
    task_id_of,
)
from kallback.settings import KafkaSettings, Topics
from kallback.testing import TopicFactory
from kallback.testing.servers.base import KafkaServer

pytestmark = pytest.mark.integration

KEY = hashlib.sha256(b"a key of these tests").digest()
KEYS = "k1:" + base64.b64encode(KEY).decode()
AWAKEABLE = AwakeableId("sign_1" + base64.urlsafe_b64encode(bytes(27) + b"\x11").rstrip(b"=").decode())
TASK = Token("shop.pack", task_id_of(b"1" * 12), Attempt(1), AWAKEABLE)
MEBIBYTE = 1024
"""Kilobytes, as `ru_maxrss` counts."""
ODD: Headers = (("a", None), ("a", b"\x00\xff"), ("a", b""), ("é", b"1"))


def signed(topics: Topics, key: bytes = KEY) -> str:
    """A token of this environment."""
    return Keyring({"k1": key}).sign(TASK, topics.results)


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

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the command."""
        return {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "KALLBACK_TOPICS_PREFIX": self.topics.prefix,
        }

    async def run(self, *arguments: str, keys: str | None = None) -> Result:
        """The command, as an operator runs it."""
        environment = self.environment | ({} if keys is None else {"KALLBACK_KEYS": keys})
        return await asyncio.to_thread(CliRunner(env=environment).invoke, dead_letters, list(arguments))

    async def forge(self, topic: str, value: bytes | None, headers: Headers) -> None:
        """Write a dead letter that claims to come from a topic."""
        await self._letters.publish(Record(topic, 0, 1, 1, b"k", value, headers), "unknown-key", "because")

    async def is_empty(self, topic: str) -> bool:
        """Whether no partition of a topic has a record."""
        return not any([await find_record(self.settings, Position(topic, each, 0)) for each in range(12)])


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
    result = await env.run("replay", "--all", "--yes", "--allow-topic", topic, "--unverified")
    assert result.stdout == "Replayed 1 of 1 dead letter.\n", result.output
    again = await env.at(Position(topic, 0, first.offset + 1))
    assert (again.key, again.value, again.headers) == (first.key, first.value, first.headers)


async def test_many_letters_are_replayed_once(env: DeadLetterEnv) -> None:
    """Over all partitions, in several batches; nothing is left, nothing is doubled."""
    source = Record(env.topics.results, 0, 1, 1, None, b"1", completed_headers(signed(env.topics)))
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
    result = await env.run("replay", "--all", "--yes", "--allow-topic", big, "--unverified")
    assert result.stdout == "Replayed 1 of 1 dead letter.\n", result.output
    again = await env.at(Position(big, 0, 1))
    assert (again.key, again.value, again.headers) == (first.key, first.value, first.headers)


async def test_forged_dead_letters_of_missing_topics_keep_no_other_from_being_sent(env: DeadLetterEnv) -> None:
    """Stubs, which are verified after their record is read; Kafka creates none of the topics."""
    headers = completed_headers(signed(env.topics))
    await env.dead_letter(OutgoingRecord(env.topics.results, b"1", b"k", headers), "unknown-key")
    names = {f"{env.topics.prefix}nope-{number}" for number in range(30)}
    for name in sorted(names):
        await env.forge(name, b"x" * 1_100_000, ())
    result = await env.run("replay", "--all", "--yes", "--json", keys=KEYS)
    said = json.loads(result.stdout)
    assert (said["sent"], [each["count"] for each in said["not_sent"]], result.exit_code) == (1, [30], 1)
    assert "and 25 more do not exist" in said["not_sent"][0]["cause"]
    assert not names & await list_topics(env.settings)


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


async def test_a_forged_dead_letter_cannot_cancel_a_task(env: DeadLetterEnv) -> None:
    """It names the control topic as its source; no option sends it there."""
    cancel = Cancel(TASK.task_id, CancelReason.CANCELLED, 1).encode()
    await env.forge(env.topics.control, cancel, ())
    result = await env.run("replay", "0:0", "1:0", "2:0", "3:0", "--yes", "--unverified", keys=KEYS)
    assert (result.exit_code, "forged" in str(result.exception)) == (1, True)
    assert "name a results topic or a task topic" in str(
        (await env.run("replay", "--all", "--yes", "--allow-topic", env.topics.control)).exception
    )
    assert await env.is_empty(env.topics.control)


async def test_a_task_is_replayed_where_its_token_says(env: DeadLetterEnv, topics_factory: TopicFactory) -> None:
    """Without a question if the token is valid here; to any other topic only if the operator names it."""
    payments = topics_factory("payments")
    headers = TaskHeaders(signed(env.topics), TASK.task_id, Attempt(1), "shop.pack", env.topics.results).encode()
    await env.forge(payments, b"{}", headers)
    refused = await env.run("replay", "--all", "--yes", keys=KEYS)
    assert f"replay --allow-topic {payments}" in str(refused.exception)
    assert await env.is_empty(payments)
    sent = await env.run("replay", "--all", "--yes", "--allow-topic", payments, keys=KEYS)
    assert (sent.stdout, "Tokens verified" in sent.stderr) == ("Replayed 1 of 1 dead letter.\n", True)


async def test_a_forged_result_is_not_replayed(env: DeadLetterEnv) -> None:
    """The good ones are; the sentence says what is not verified."""
    await env.forge(
        env.topics.results, b"1", completed_headers(signed(env.topics, hashlib.sha256(b"another").digest()))
    )
    await env.forge(env.topics.results, b"1", completed_headers(signed(env.topics)))
    result = await env.run("replay", "--all", "--yes", keys=KEYS)
    assert result.stdout == "Replayed 1 of 1 dead letter.\n", (result.output, result.exception)
    assert "wrong-tag" in str(result.exception)
    assert "values are not signed" in result.stderr


async def test_a_summary_is_replayed_from_its_source(env: DeadLetterEnv) -> None:
    """Each record of its ranges that exists and has a valid token; the forged one between them is not sent."""
    good, forged = signed(env.topics), signed(env.topics, hashlib.sha256(b"another").digest())
    sent = [
        await env.producer.send(OutgoingRecord(env.topics.results, b"%d" % number, b"k", completed_headers(token)))
        for number, token in enumerate((good, forged, good))
    ]
    partition, first = sent[0].partition, sent[0].offset
    counted = LetterSummary(3, (OffsetRange(partition, first, first + 9),), LastRecord(partition, first + 2, 1))
    facts = {"reason": "unknown-key", "topic": env.topics.results, "partition": str(partition), "offset": str(first)}
    facts |= {"timestamp": "1", "at": str(int(time.time() * 1000)), "summary": counted.encode().decode()}
    headers = tuple((f"kallback-dead-{name}", text.encode()) for name, text in facts.items())
    await env.producer.send(OutgoingRecord(env.topics.dead_letters, b"0", b"k", headers))
    result = await env.run("replay", "--all", "--yes", keys=KEYS)
    assert (result.exit_code, "2 records of summaries sent" in result.stdout) == (0, True), result.output
    again = [await env.at(Position(env.topics.results, partition, first + 3 + each)) for each in (0, 1)]
    assert [record.value for record in again] == [b"0", b"2"]
    assert (await env.run("list")).stdout == ""


async def test_a_long_list_takes_little_memory(env: DeadLetterEnv) -> None:
    """It prints what it reads; below 100 MiB for 30,000 dead letters, as for 200,000."""
    letters = DeadLetters(env.producer, env.topics.dead_letters, group="bridge")
    source = Record(env.topics.results, 0, 1, 1, None, b"1" * 400, completed_headers(signed(env.topics)))
    for _ in range(15):
        await asyncio.gather(*(letters.publish(source, "late", "because") for _ in range(2000)))
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], check=False).returncode; "
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, sys.executable, "-m", "kallback.cli", "dead-letters", "list", "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **env.environment}, capture_output=True, text=True, check=True
    )
    code, peak = done.stderr.split()[-2:]
    assert (code, len({json.loads(line)["id"] for line in done.stdout.splitlines()})) == ("0", 30_000)
    assert int(peak) < 100 * MEBIBYTE


async def test_a_reader_that_closes_the_pipe_ends_the_list_in_silence(env: DeadLetterEnv) -> None:
    """As `| head -1` does."""
    letters = DeadLetters(env.producer, env.topics.dead_letters, group="bridge")
    source = Record(env.topics.results, 0, 1, 1, None, b"1", ())
    await asyncio.gather(*(letters.publish(source, "late", "because") for _ in range(3000)))
    command = f"{sys.executable} -m kallback.cli dead-letters list | head -1"
    done = await asyncio.to_thread(
        subprocess.run, command, shell=True, env={**os.environ, **env.environment}, capture_output=True, text=True
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
