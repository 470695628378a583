"""A commit that Kafka does not answer while partitions are given away: the member goes on living meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.integration.kafka_gate import KafkaGate, Request, gated_kafka

from kallback.kafka import (
    Assignment,
    ClientName,
    Consumer,
    ConsumerOptions,
    OutgoingRecord,
    Record,
    client_of,
    clients_of,
)
from kallback.settings import KafkaSettings
from kallback.testing import TopicFactory

pytestmark = [
    pytest.mark.integration,
    pytest.mark.local_servers,
    pytest.mark.parametrize("client", ["confluent", "aiokafka"]),
]

AT_REVOCATIONS = ConsumerOptions(commit_interval=1000, drain_timeout=1, assignment=Assignment.EAGER)
"""Nothing else commits."""
STOP_S = 30.0
"""Kubernetes' default between SIGTERM and SIGKILL."""


class Revocation:
    """A member with two partitions and a record that is done, and a younger one that joins its group."""

    def __init__(self, gate: KafkaGate, client: ClientName, until: AsyncExitStack) -> None:
        self._gate, self._client, self._until = gate, client, until

    async def member(self, name: str) -> Consumer:
        """Start one."""
        settings = KafkaSettings(self._gate.address, client_id=name)
        consumer = clients_of(client_of(self._client), settings).consumer(["work"], "readers", AT_REVOCATIONS)
        return await self._until.enter_async_context(consumer)

    async def take(self, member: Consumer) -> Record:
        """Take one record."""
        async with asyncio.timeout(60):
            while not (records := await member.fetch(1, 1)):
                pass
        return records[0]

    async def begin(self) -> Consumer:
        """Return the older member once its commit has come, which is held."""
        older = await self.member("older")
        record = await self.take(older)
        self._gate.hold(Request.OFFSET_COMMIT)
        older.done(record)
        self.fetch_on(older)
        self.fetch_on(await self.member("younger"))
        await self._gate.met("older")
        return older

    def fetch_on(self, member: Consumer) -> None:
        """Fetch until the test ends."""

        async def fetch() -> None:
            while True:
                await member.fetch(1, 1)

        task = asyncio.create_task(fetch())
        self._until.callback(task.cancel)


@asynccontextmanager
async def revocation(client: ClientName) -> AsyncGenerator[Revocation]:
    """A revocation on a Kafka of its own."""
    with gated_kafka() as (server, gate):
        await asyncio.to_thread(TopicFactory(server).make, ["work"], partitions=2)
        settings = KafkaSettings(gate.address)
        async with clients_of(client_of(client), settings).producer() as producer:
            await producer.send(OutgoingRecord("work", b"1"))
        async with AsyncExitStack() as until:
            yield Revocation(gate, client, until)


async def test_the_member_is_polled_meanwhile(client: ClientName) -> None:
    """Probes would take a client that does not poll for a stuck one, and Kafka would throw it out of its group."""
    async with revocation(client) as rebalance:
        older = await rebalance.begin()
        before = older.group_status().last_poll
        async with asyncio.timeout(10):
            while older.group_status().last_poll == before:  # noqa: ASYNC110 - a poll has no event
                await asyncio.sleep(0.05)


async def test_a_stop_is_minded_meanwhile(client: ClientName, caplog: pytest.LogCaptureFixture) -> None:
    """It ends within the grace of orchestrators, and leaves no thread behind."""
    async with revocation(client) as rebalance:
        older = await rebalance.begin()
        async with asyncio.timeout(STOP_S):
            await older.stop()
        assert "does not answer" not in caplog.text
