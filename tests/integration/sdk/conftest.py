"""Servers, topics and clients for the whole folder; an environment for each test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.integration.sdk.environment import EnvFactory, Fault, FaultyProducer, Order, Prepared, SdkEnv, SdkServers

from kallback.kafka import AiokafkaReader, ConfluentProducer, Producer
from kallback.protocol import MissingTopicError, TaskType
from kallback.sdk import Callbacks
from kallback.settings import KafkaSettings, KeySettings, Settings, Topics
from kallback.testing import Admin, Ingress, Stack, TopicFactory, eventually


async def reader(kafka: KafkaSettings, topic: str) -> AiokafkaReader:
    """A started reader of a topic that was made a moment ago, and that the broker may not show yet."""

    async def started() -> AiokafkaReader | None:
        new = AiokafkaReader(kafka, topic)
        try:
            await new.start()
        except MissingTopicError:
            return None
        return new

    return await eventually(f"topic {topic}", started)


@pytest.fixture(scope="session")
async def servers(kallback_stack: Stack, topics_factory: TopicFactory) -> AsyncGenerator[SdkServers]:
    """Both servers, topics of this folder's own, the published key."""
    topics = Topics(prefix=f"sdk-{uuid4().hex[:8]}.")
    topics_factory.make(topics.all())
    task_topic = topics_factory("prepare")
    kafka = KafkaSettings(kallback_stack.bootstrap_servers)
    async with (
        Ingress(kallback_stack.ingress_url) as ingress,
        Admin(kallback_stack.admin_url) as admin,
        httpx.AsyncClient(timeout=60) as http,
        await reader(kafka, task_topic) as tasks,
        await reader(kafka, topics.control) as controls,
        ConfluentProducer(kafka) as producer,  # one for all, because its first record takes half a second
    ):
        settings = Settings(kafka=kafka, topics=topics, keys=KeySettings(insecure=True))
        yield SdkServers(kallback_stack, settings, task_topic, ingress, admin, http, tasks, controls, producer)


@pytest.fixture
def make_env(servers: SdkServers) -> EnvFactory:
    """Makes an environment; a fault is between the sdk and the real producer."""

    @asynccontextmanager
    async def make(
        fault: Fault | None = None, *, settings: Settings | None = None, **options: Any
    ) -> AsyncGenerator[SdkEnv]:
        name = f"prepare.{uuid4().hex[:8]}"
        prepare = TaskType(name, Order, Prepared, timeout=timedelta(seconds=60), topic=servers.task_topic)
        producer: Producer = servers.producer
        if fault is not None:
            producer = FaultyProducer(servers.producer, fault)
        chosen = settings or servers.settings
        async with Callbacks(chosen, **{"producer": producer} | options) as callbacks:
            yield SdkEnv(servers, chosen, callbacks, prepare)

    return make


@pytest.fixture
async def env(make_env: EnvFactory) -> AsyncGenerator[SdkEnv]:
    """An environment without a fault."""
    async with make_env() as made:
        yield made
