"""What tests of several packages need beside the servers of the session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from kallback.testing import KafkaOptions, KafkaServer, start_kafka


@pytest.fixture
async def own_kafka() -> AsyncGenerator[KafkaServer]:
    """A Kafka that the test may freeze and stop."""
    context = start_kafka(KafkaOptions())
    server = await asyncio.to_thread(context.__enter__)
    yield server
    await asyncio.to_thread(context.__exit__, None, None, None)
