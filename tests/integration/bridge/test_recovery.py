"""Bridges die, join and leave under load: nothing is lost, little is sent again, work goes on soon."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pytest
from tests.integration.bridge.environment import ResultsTopic, both_clients

from kallback.bridge import Accepted, Bridge, BridgeOptions, Client, Completion, Dependencies, FunctionCompleter, Reply
from kallback.kafka import AiokafkaReader, ConsumerOptions, Record
from kallback.settings import Topics
from kallback.testing.polling import eventually
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.integration

FIXED = ConsumerOptions(session_timeout=6.0)


@dataclass
class Process:
    """`kallback bridge` as people start it."""

    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()

    async def ended(self) -> tuple[int, str]:
        """Wait for its end; exit code and what it said."""
        _, said = await asyncio.wait_for(self.process.communicate(), 60)
        return self.process.returncode or 0, said.decode()


@dataclass
class Load:
    """Bridges on a topic of six partitions, which is filled while they work."""

    results: ResultsTopic
    processes: list[Process] = field(default_factory=list[Process])

    async def bridge(self, *arguments: str) -> Process:
        """Start a bridge process."""
        settings = self.results.settings
        environment = {
            **os.environ,
            "KALLBACK_KEYS": "k1:" + base64.b64encode(hashlib.sha256(b"one").digest()).decode(),
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "KALLBACK_RESTATE_INGRESS_URL": settings.restate.ingress_url,
            "KALLBACK_RESTATE_ADMIN_URL": settings.restate.admin_url,
            "KALLBACK_TOPICS_PREFIX": settings.topics.prefix,
        }
        client = ("--client", self.results.client.value)
        command = (sys.executable, "-m", "kallback.cli", "bridge", "--outcomes", *client, *arguments)
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
        self.processes.append(Process(process))
        return self.processes[-1]

    async def outcomes(self) -> Counter[tuple[int, int]]:
        """How often each record has an outcome."""
        return Counter(map(position_of, await self.results.read(self.results.settings.topics.outcomes)))

    async def settled(self, count: int) -> None:
        """Wait until so many records have an outcome."""
        found = set[tuple[int, int]]()
        async with (
            AiokafkaReader(self.results.settings.kafka, self.results.settings.topics.outcomes) as reader,
            asyncio.timeout(240),
        ):
            while len(found) < count:
                found.update(map(position_of, await reader.fetch(1.0)))


def position_of(outcome: Record) -> tuple[int, int]:
    """Which record of the results topic an outcome is about."""
    source = json.loads(outcome.value or b"")["source"]
    return source["partition"], source["offset"]


@pytest.fixture
async def load(results: ResultsTopic, topics_factory: TopicFactory) -> AsyncGenerator[Load]:
    """Six partitions, no bridge yet."""
    topics = Topics(prefix=f"kallback-{uuid4().hex[:8]}.")
    topics_factory.make([topics.results, topics.dead_letters, topics.outcomes, topics.progress], partitions=6)
    load = Load(replace(results, settings=replace(results.settings, topics=topics, keys=results.settings.keys)))
    load.results.settings = replace(load.results.settings, keys=replace(results.settings.keys, audience=topics.results))
    yield load
    for each in load.processes:
        await each.kill()


async def die_and_come_back(load: Load, *arguments: str) -> None:
    """Kill a bridge in the middle of the work and start it again; all is settled, and little of it twice."""
    count = 20_000
    filling = asyncio.create_task(load.results.fill(count))
    first = await load.bridge(*arguments)
    await load.settled(count // 4)
    await first.kill()
    uncommitted = len(await load.outcomes()) - await load.results.committed()
    await load.bridge(*arguments)
    positions = await filling
    await load.settled(count)
    found = await load.outcomes()
    assert set(found) == positions
    assert await load.results.dead_letters() == {}
    assert sum(found.values()) - count <= uncommitted


async def test_a_killed_bridge_with_an_instance_id_does_not_wait_for_its_session(load: Load) -> None:
    """Its successor has its partitions back; what was not committed is sent again at most."""
    await die_and_come_back(load, "--instance-id", "one", "--session-timeout", "280")


async def test_a_killed_bridge_without_one_goes_on_when_its_session_is_over(load: Load) -> None:
    """The broker counts the dead member for six seconds; what was not committed is sent again at most."""
    await die_and_come_back(load, "--instance-id", "none", "--session-timeout", "6")


@both_clients
async def test_of_two_bridges_with_one_instance_id_one_stops_and_says_why(load: Load) -> None:
    """The other goes on; they do not take the partitions from each other for ever."""
    older = await load.bridge("--instance-id", "twin")
    await load.results.fill(100)
    await load.settled(100)
    younger = await load.bridge("--instance-id", "twin")
    code, said = await older.ended()
    await load.results.fill(100)
    await load.settled(200)

    assert code == 3  # a supervisor must not start it again
    assert "as instance 'twin' failed" in said
    assert "give each process its own" in said.splitlines()[-2]
    assert younger.process.returncode is None


@both_clients
async def test_a_session_that_brokers_do_not_allow(load: Load) -> None:
    """The bridge stops with a sentence instead of waiting for partitions for ever."""
    code, said = await (await load.bridge("--session-timeout", "2")).ended()
    assert (code, "group.min.session.timeout.ms" in said.splitlines()[-2]) == (2, True)


async def test_bridges_with_instance_ids_may_change_their_client_one_by_one(load: Load) -> None:
    """Bridges of both clients share the partitions; the one that stays reads all."""

    def member(name: str, client: Client) -> Bridge:
        load.results.client = client
        return load.results.bridge(BridgeOptions(consumer=replace(FIXED, group_instance_id=name)))

    def owned(*bridges: Bridge) -> list[int]:
        return [0 if (status := each.group_status()) is None else len(status.partitions) for each in bridges]

    async with member("new", Client.AIOKAFKA) as new:
        async with member("old", Client.CONFLUENT) as old:
            await eventually("three partitions each", lambda: owned(new, old) == [3, 3])
            await load.results.fill(600)
            await load.results.settle(600)
        await load.results.fill(600)
        await load.results.settle(1200)
    assert min(new.stats.settled, old.stats.settled) > 100


async def test_without_instance_ids_the_second_client_is_refused_with_a_sentence(load: Load) -> None:
    """It names the option; the first bridge goes on."""
    async with load.results.bridge() as first:
        await load.results.fill(100)
        await load.results.settle(100)
        load.results.client = Client.AIOKAFKA
        code, said = await (await load.bridge("--instance-id", "none")).ended()
        await load.results.fill(100)
        await load.results.settle(200)
        assert first.failure is None
    assert (code, "the same --client" in said.splitlines()[-2]) == (2, True)


async def test_three_bridges_share_the_load(load: Load) -> None:
    """Two partitions each; every record is settled once."""
    async with AsyncExitStack() as until:
        bridges = [
            await until.enter_async_context(load.results.bridge(BridgeOptions(consumer=FIXED))) for _ in range(3)
        ]

        def shared() -> bool:
            statuses = [each.group_status() for each in bridges]
            return all(status is not None and len(status.partitions) == 2 for status in statuses)

        await eventually("two partitions each", shared)
        await load.results.fill(3000)
        await load.results.settle(3000)
    assert load.results.outcomes() == {"delivered": 3000}
    assert min(each.stats.settled for each in bridges) > 300


@both_clients
async def test_what_is_in_flight_is_settled_before_a_partition_goes(load: Load) -> None:
    """A bridge that joins under load gets partitions without anything being sent twice."""
    posted: Counter[str] = Counter()

    async def slow(completion: Completion) -> Reply:
        posted[completion.token] += 1
        await asyncio.sleep(0.1)
        return Accepted()

    def bridge() -> Bridge:
        dependencies = Dependencies(completer=lambda _settings, _options: FunctionCompleter(slow))
        options = BridgeOptions(consumer=FIXED, client=load.results.client, max_in_flight=200)
        return Bridge(load.results.settings, options, dependencies=dependencies, on_settled=load.results.settled.append)

    await load.results.fill(8000)
    async with bridge() as first:
        await load.results.settle(200)
        async with bridge() as second:
            await eventually("work of the second one", lambda: second.stats.settled > 100)
            await load.results.settle(8000)
    assert set(posted.values()) == {1}
    assert first.stats.settled + second.stats.settled == 8000
