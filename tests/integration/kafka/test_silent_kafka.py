"""A member of a group notices that Kafka has stopped to answer, also if its client does not."""

from __future__ import annotations

import asyncio

import pytest

from kallback.kafka import ClientName, ConsumerOptions, client_of, clients_of, group_status
from kallback.kafka.aiokafka import topic_watch as aiokafka_watch
from kallback.kafka.confluent import topic_watch as confluent_watch
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory, eventually

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_a_frozen_kafka_is_named_until_it_answers(
    own_kafka: KafkaServer, client: ClientName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the default session timeout the client itself remains in its group for longer."""
    monkeypatch.setattr(group_status, "UNANSWERED_AFTER_S", 1.0)
    monkeypatch.setattr(aiokafka_watch, "TOPIC_LOOK_INTERVAL_S", 0.5)
    monkeypatch.setattr(confluent_watch, "TOPIC_LOOK_INTERVAL_S", 0.5)
    TopicFactory(own_kafka).make(["quiet"])
    clients = clients_of(client_of(client), KafkaSettings(own_kafka.bootstrap_servers))
    async with clients.consumer(["quiet"], "readers", options=ConsumerOptions()) as consumer:

        async def reason() -> str | None:
            await consumer.fetch(1, 0.1)
            return consumer.group_status().stall_reason()

        async with asyncio.timeout(60):
            while not consumer.group_status().joined:
                await consumer.fetch(1, 0.1)
        own_kafka.pause()
        try:
            async with asyncio.timeout(40):
                while "Kafka has not answered" not in (await reason() or ""):
                    pass
            assert consumer.group_status().joined
        finally:
            own_kafka.resume()
        await eventually("an answer", lambda: consumer.group_status().stall_reason() is None)
