"""A member that stops while Kafka is away: it ends within the grace of orchestrators, whatever it has asked Kafka."""

from __future__ import annotations

import asyncio

import pytest

from kallback.kafka import ClientName, ConsumerOptions, OutgoingRecord, client_of, clients_of
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

GRACE_S = 30.0
"""Kubernetes' default between SIGTERM and SIGKILL."""


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_a_commit_without_answer_does_not_keep_a_member(own_kafka: KafkaServer, client: ClientName) -> None:
    """Librdkafka would close only when the commit is answered or a session timeout is over."""
    TopicFactory(own_kafka).make(["work"])
    clients = clients_of(client_of(client), KafkaSettings(own_kafka.bootstrap_servers))
    async with clients.producer() as producer:
        await producer.send(OutgoingRecord("work", b"1"))
    consumer = clients.consumer(["work"], "readers", ConsumerOptions())
    await consumer.start()
    async with asyncio.timeout(60):
        while not (records := await consumer.fetch(1, 1)):
            pass
    await asyncio.to_thread(own_kafka.pause)
    consumer.done(records[0])
    await consumer.commit()
    async with asyncio.timeout(GRACE_S):
        await consumer.stop()
    await asyncio.to_thread(own_kafka.resume)
