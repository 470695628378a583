"""A crash in the middle of a rebalance must leave no partition without an owner, and no record unread."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kallback.kafka import (
    Consumer,
    ConsumerOptions,
    GroupProtocol,
    KafkaClients,
    OutgoingRecord,
    client_of,
    clients_of,
)
from kallback.settings import KafkaSettings
from kallback.testing import KafkaOptions, KafkaServer, TopicFactory, eventually, start_kafka
from kallback.testing.servers.processes import ChildProcess

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

PARTITIONS = 4
RECORDS = 20 * PARTITIONS
TOPIC, GROUP = "work", "readers"
MEMBER = Path(__file__).with_name("member_that_dies.py")
SHORT_SESSIONS = {
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
}
"""Of KIP-848, where the broker decides; 45 s by default."""


class Survivors:
    """Members of the group that read everything, and what they have read."""

    def __init__(self, clients: KafkaClients, protocol: GroupProtocol) -> None:
        self.seen: set[tuple[int, int]] = set()
        self.members: list[Consumer] = []
        self._clients, self._protocol = clients, protocol
        self._readings: list[asyncio.Task[None]] = []

    async def join(self, name: str | None) -> None:
        """Have one join."""
        options = ConsumerOptions(
            group_protocol=self._protocol, group_instance_id=name, session_timeout=6, drain_timeout=1
        )
        member = self._clients.consumer([TOPIC], GROUP, options)
        await member.start()
        self.members.append(member)
        self._readings.append(asyncio.create_task(self._read(member)))

    async def _read(self, member: Consumer) -> None:
        while True:
            for record in await member.fetch(50, 0.5):
                self.seen.add((record.partition, record.offset))
                member.done(record)

    def owned(self) -> int:
        """Return how many partitions have an owner."""
        return len(frozenset().union(*(each.assignment() for each in self.members)))

    async def stop(self) -> None:
        """Stop all."""
        for each in self._readings:
            each.cancel()
        await asyncio.gather(*self._readings, return_exceptions=True)
        for member in self.members:
            await member.stop()


@asynccontextmanager
async def filled_kafka() -> AsyncGenerator[KafkaServer]:
    """A Kafka with a topic full of records."""
    context = start_kafka(KafkaOptions(properties=SHORT_SESSIONS))
    server = await asyncio.to_thread(context.__enter__)
    try:
        await asyncio.to_thread(TopicFactory(server).make, [TOPIC], partitions=PARTITIONS)
        settings = KafkaSettings(server.bootstrap_servers)
        async with clients_of(client_of("confluent"), settings).producer() as producer:
            for number in range(RECORDS):
                await producer.send(OutgoingRecord(TOPIC, b"x", str(number).encode()))
        yield server
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


@pytest.mark.parametrize(
    ("client", "protocol", "named"),
    [
        ("confluent", "classic", False),
        ("confluent", "classic", True),
        ("aiokafka", "classic", False),
        ("aiokafka", "classic", True),
        ("confluent", "consumer", False),
        ("confluent", "consumer", True),
    ],
)
async def test_a_member_that_dies_while_it_gives_partitions_away(
    tmp_path: Path, client: str, protocol: str, *, named: bool
) -> None:
    """Those that live, and a successor of its name if it has one, own every partition and read what it had taken.

    The broker lets a named member come back into its last assignment without a rebalance. With cooperative
    assignment that was a half-made one: what the dead member had just given up belonged to nobody, for good.
    """
    async with filled_kafka() as server:
        survivors = Survivors(
            clients_of(client_of(client), KafkaSettings(server.bootstrap_servers)), GroupProtocol(protocol)
        )
        log = tmp_path / "one.log"
        command = [sys.executable, str(MEMBER), server.bootstrap_servers, TOPIC, GROUP, client, protocol]
        dying = ChildProcess("one", [*command, "one" if named else "-"], log=log)
        dying.start()
        try:
            await eventually("a member that holds every partition", lambda: f"taken {PARTITIONS}" in log.read_text())
            await survivors.join("two" if named else None)
            await eventually("it to wait for its records", lambda: "giving away" in log.read_text(), timeout=60)
        finally:
            dying.kill()
        try:
            if named:
                await survivors.join("one")
            await eventually("an owner of every partition", lambda: survivors.owned() == PARTITIONS, timeout=60)
            await eventually("every record", lambda: len(survivors.seen) == RECORDS, timeout=60)
        finally:
            await survivors.stop()
