"""What a producer holds while Kafka does not answer is bounded, and all of it is written in order afterwards."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from kallback.kafka import ClientName, OutgoingRecord, client_of, clients_of
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory, eventually

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

QUEUE_BYTES = 16 * 1024 * 1024
SIZE = 1_000_000
RECORDS = 40


def held(producer: Any) -> int:
    """Records that the client holds, by its own account."""
    if hasattr(producer, "_client"):
        return len(producer._client.producer)
    batches = producer._inner._message_accumulator._batches
    return sum(batch.record_count for queue in batches.values() for batch in queue)


@pytest.mark.parametrize("client", ["confluent", "aiokafka"])
async def test_senders_wait_when_sixteen_mib_are_on_their_way(own_kafka: KafkaServer, client: ClientName) -> None:
    """Forty records of 1 MB: not more than sixteen are in the client, and each is written once, in the order sent."""
    topic = "large"
    TopicFactory(own_kafka).make([topic])
    producer = clients_of(client_of(client), KafkaSettings(own_kafka.bootstrap_servers)).producer()
    full, most = (QUEUE_BYTES // SIZE if client == "confluent" else 1), 0
    async with AsyncExitStack() as until:
        await until.enter_async_context(producer)
        await producer.send(OutgoingRecord(topic, b"first"))
        own_kafka.pause()
        until.callback(own_kafka.resume)
        sends = [asyncio.create_task(producer.send(OutgoingRecord(topic, bytes(SIZE)))) for _ in range(RECORDS)]
        await eventually("a full queue", lambda: held(producer) >= full)
        for _ in range(100):
            await asyncio.sleep(0)
            most = max(most, held(producer))
        own_kafka.resume()
        async with asyncio.timeout(60):
            positions = await asyncio.gather(*sends)
    assert most * SIZE <= QUEUE_BYTES
    assert [each.offset for each in positions] == list(range(1, RECORDS + 1))
