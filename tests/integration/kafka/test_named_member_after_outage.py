"""A member with an instance id whose broker is away for longer than its session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kallback.kafka import (
    ClientName,
    Consumer,
    ConsumerOptions,
    KafkaClients,
    OutgoingRecord,
    Record,
    client_of,
    clients_of,
)
from kallback.protocol import KafkaUnavailableError
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

NAMED = ConsumerOptions(group_instance_id="one", session_timeout=6, drain_timeout=1)
AWAY_S = 8.0
"""Longer than the session, so that the broker has ended it when it goes on."""


@asynccontextmanager
async def joined(clients: KafkaClients, options: ConsumerOptions = NAMED) -> AsyncGenerator[Consumer]:
    """A member of the group."""
    async with clients.consumer(["work"], "readers", options=options) as consumer:
        async with asyncio.timeout(60):
            while not consumer.group_status().joined:
                await consumer.fetch(1, 0.1)
        yield consumer


async def first_records(consumer: Consumer) -> list[Record]:
    """Fetch until there are some."""
    while not (records := await consumer.fetch(1, 1)):
        pass
    return records


async def read_on(consumer: Consumer) -> None:
    """Fetch until that fails."""
    while True:
        await consumer.fetch(1, 0.5)


async def be_replaced(clients: KafkaClients, consumer: Consumer) -> None:
    """Join again, then read on while another one has the name; on a busy machine it may fail as early as that."""
    while not consumer.group_status().joined:
        await consumer.fetch(1, 0.1)
    async with joined(clients):
        await read_on(consumer)


async def outlast(kafka: KafkaServer, consumer: Consumer) -> None:
    """Fetch while Kafka is away."""
    await asyncio.to_thread(kafka.pause)
    try:
        ends = time.monotonic() + AWAY_S
        while time.monotonic() < ends:
            await consumer.fetch(1, 0.2)
    finally:
        await asyncio.to_thread(kafka.resume)


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_it_joins_again_and_reads_on(own_kafka: KafkaServer, client: ClientName) -> None:
    """Its id is free: its own session has ended."""
    TopicFactory(own_kafka).make(["work"])
    clients = clients_of(client_of(client), KafkaSettings(own_kafka.bootstrap_servers))
    async with joined(clients) as consumer:
        await outlast(own_kafka, consumer)
        async with clients.producer() as producer:
            await producer.send(OutgoingRecord("work", b"1"))
        async with asyncio.timeout(60):
            try:
                records = await first_records(consumer)
            except KafkaUnavailableError:  # an earlier request of its own to join was answered last: see below
                async with joined(clients) as fresh:
                    records = await first_records(fresh)
        assert [each.value for each in records] == [b"1"]


async def test_fenced_soon_after_it_is_to_be_replaced_and_not_taken_over(own_kafka: KafkaServer) -> None:
    """An earlier request of its own to join may be answered last, and looks to Kafka as another process does."""
    TopicFactory(own_kafka).make(["work"])
    clients = clients_of(client_of("confluent"), KafkaSettings(own_kafka.bootstrap_servers))
    async with joined(clients) as consumer:
        await outlast(own_kafka, consumer)
        async with asyncio.timeout(60):
            with pytest.raises(KafkaUnavailableError, match="took an earlier request of this member"):
                await be_replaced(clients, consumer)
