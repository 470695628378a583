"""Records that clients for Python cannot read, as clients for other languages can write them."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Producer as Client

RECORDS_OF_A_BATCH = 120
_SIZE = 900_000


class NameOfBytes(str):
    """A header name that is sent as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        """Give aiokafka the bytes that are sent."""
        return b"\xff\xfe"


async def send_unreadable(bootstrap_servers: str, *topics: str) -> None:
    """Write a record whose header name is not UTF-8 into partition 0 of each topic."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for topic in topics:
            batch = producer.create_batch()
            # The builder in C takes no subclass of str.
            batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 16_384)
            batch.append(key=None, value=b"odd", timestamp=None, headers=[(NameOfBytes("x"), b"x")])
            await (await producer.send_batch(batch, topic, partition=0))


def send_too_large_a_batch(servers: str, topic: str) -> None:
    """Write one batch of zeros to partition 0: a few kilobytes on the broker, more than a client decompresses."""
    producer = Client(
        {
            "bootstrap.servers": servers,
            "compression.type": "zstd",
            "linger.ms": 3000,
            "batch.size": 200_000_000,
            "batch.num.messages": RECORDS_OF_A_BATCH,
            "message.max.bytes": 200_000_000,
            "queue.buffering.max.kbytes": 400_000,
        }
    )
    for _ in range(RECORDS_OF_A_BATCH):
        producer.produce(topic, bytes(_SIZE), partition=0)
    assert producer.flush(60) == 0
