"""Writes records that clients for Python cannot read, as clients for other languages can write them."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from tests.integration.kafka.labs import Lab, MemoryLab, RealLab

from kallback.kafka import OutgoingRecord
from kallback.kafka.records import Placement


class OddName(str):
    """A header name that is sent as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        """Return the bytes that are sent."""
        return b"\xff\xfe"


async def send_odd_header(lab: Lab, topic: str, *values: bytes, odd: int = 0, partition: int = 0) -> None:
    """Send values in one batch; the one of index `odd` has a header whose name is not UTF-8."""
    if isinstance(lab, MemoryLab):
        for number, value in enumerate(values):
            own = (("\udcff", b"x"),) if number == odd else ()
            lab.broker.append(OutgoingRecord(topic, value, None, own, Placement(partition)))
        return
    assert isinstance(lab, RealLab)
    async with AIOKafkaProducer(bootstrap_servers=lab.settings.bootstrap_servers) as producer:
        batch = producer.create_batch()
        # The builder in C takes no subclass of str.
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 1_000_000)
        for number, value in enumerate(values):
            headers: list[tuple[str, bytes]] = [(OddName("x"), b"x")] if number == odd else []
            batch.append(key=None, value=value, timestamp=None, headers=headers)
        await (await producer.send_batch(batch, topic, partition=partition))
