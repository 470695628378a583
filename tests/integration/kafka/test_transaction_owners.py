"""An administrator is told whose transaction is open."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.kafka.labs import RealLab, transaction

from kallback.kafka import TopicPartition, open_transactions

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("lab", ["aiokafka"], indirect=True)  # one client alone can ask
async def test_an_administrator_is_told_the_producer_of_a_transaction(lab: RealLab) -> None:
    """Its name and where it began, while it is open; nothing of those that have ended, and of empty topics."""
    topic, other = lab.topic(), lab.topic()
    with transaction(lab.settings, topic, "a", "b"):
        [found] = await open_transactions(lab.settings, [topic, other])
        assert (found.partition, found.start_offset) == (TopicPartition(topic, 0), 0)
        assert found.transactional_id is not None
        assert len(found.transactional_id) == 32
    async with asyncio.timeout(60):  # Kafka writes the marker after it has answered
        while await open_transactions(lab.settings, [topic]):
            pass
