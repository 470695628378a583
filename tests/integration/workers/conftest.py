"""The fixtures of the workers' tests on a real Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.workers.environment import KafkaWorkerEnv

from kallback.kafka import AiokafkaProducer
from kallback.settings import KafkaSettings, Settings, Topics
from kallback.testing.servers.base import KafkaServer
from kallback.testing.topics import TopicFactory
from kallback.workers import Client


@pytest.fixture(params=list(Client))
def client(request: pytest.FixtureRequest) -> Client:
    """Each client in turn: the suite is one for all."""
    found: Client = request.param
    return found


@pytest.fixture
async def env(
    kafka_server: KafkaServer, topic_names: Topics, topics_factory: TopicFactory, client: Client
) -> AsyncIterator[KafkaWorkerEnv]:
    """An environment on the session's Kafka."""
    settings = Settings(kafka=KafkaSettings(kafka_server.bootstrap_servers), topics=topic_names)
    async with AiokafkaProducer(settings.kafka) as producer:
        made = KafkaWorkerEnv(settings, producer, topics_factory, client)
        yield made
        await made.close()
