"""The end of a producer while Kafka does not answer."""

from __future__ import annotations

import asyncio
import threading

from kallback.kafka import OutgoingRecord
from kallback.kafka.confluent.producer import ConfluentProducer
from kallback.settings import KafkaSettings


async def test_a_cancelled_stop_leaves_no_thread_behind() -> None:
    """Its owner gives it a bound, and `asyncio.run` waits for the threads of the loop, however long they flush."""
    producer = ConfluentProducer(KafkaSettings("127.0.0.1:1", delivery_timeout=300))
    sending = asyncio.create_task(producer.send(OutgoingRecord("topic", b"value")))
    await asyncio.wait({sending}, timeout=0.1)
    sending.cancel()
    stopping = asyncio.create_task(producer.stop())
    await asyncio.wait({stopping}, timeout=0.1)
    stopping.cancel()
    done, _ = await asyncio.wait({stopping, sending}, timeout=30)
    assert done == {stopping, sending}
    assert "kallback-producer" not in {each.name for each in threading.enumerate()}
