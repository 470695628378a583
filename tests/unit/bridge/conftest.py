"""Fixtures for the tests of the bridge."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import AUDIENCE, GROUP, NOW, RecordFactory
from tests.unit.bridge.hostile_server import HostileServer, serve_hostile

from kallback.kafka import MemoryBroker, TopicPartition
from kallback.kafka.offsets.partition_metadata import Commit


@pytest.fixture
def make() -> RecordFactory:
    """Makes tokens and records."""
    return RecordFactory()


@pytest.fixture
async def env(make: RecordFactory) -> BridgeEnv:
    """A broker in memory with the topics, and everything around a bridge whose group is not new."""
    broker = MemoryBroker(clock=lambda: NOW)
    for topic in (AUDIENCE, "kallback.dead-letters", "kallback.outcomes", "kallback.progress"):
        broker.create_topic(topic, largest=8_000_000)
    broker.group(GROUP).commits[TopicPartition(AUDIENCE, 0)] = Commit(0)
    return BridgeEnv(broker, make)


@pytest.fixture
async def hostile() -> AsyncGenerator[HostileServer]:
    """A server that answers what the test says."""
    async with serve_hostile() as server:
        yield server


@pytest.fixture
async def hostile_on_ipv6() -> AsyncGenerator[HostileServer]:
    """The same on IPv6."""
    async with serve_hostile("::1") as server:
        yield server
