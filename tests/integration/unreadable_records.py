"""Records that clients for Python cannot read, as clients for other languages can write them."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


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
