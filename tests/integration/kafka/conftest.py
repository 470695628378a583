"""Every client behind the same seam: each conformance test runs once per client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.kafka.labs import Lab, MemoryLab, RealLab

from kallback.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kallback.testing import KafkaServer


@pytest.fixture(params=["memory", "confluent", "aiokafka"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """One client; everything it made is stopped afterwards."""
    if request.param == "memory":
        lab: Lab = MemoryLab()
    else:
        server = request.getfixturevalue("kafka_server")
        settings = KafkaSettings(server.bootstrap_servers, connect_timeout=60)
        lab = RealLab(request.param, settings, request.getfixturevalue("topics_factory"))
    yield lab
    await lab.stop()


@pytest.fixture
def kafka_settings(kafka_server: KafkaServer) -> KafkaSettings:
    """How to reach the session's Kafka."""
    return KafkaSettings(kafka_server.bootstrap_servers, connect_timeout=60)
