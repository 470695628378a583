"""The end of a producer: while Kafka does not answer, and beside a send."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from kallback.kafka import OutgoingRecord
from kallback.kafka.confluent.producer import ConfluentProducer
from kallback.protocol.errors import AccessDeniedError, KafkaUnavailableError
from kallback.settings import KafkaSettings

_CLUSTER_DENIED = 31


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


async def send_in_line(producer: ConfluentProducer) -> None:
    """Send on this loop into a queue that stays full, and give up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await producer.send(OutgoingRecord("topic", b"value"))


def test_event_loops_that_ended_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that runs a loop per request does not keep every loop, not even those that waited in line."""
    producer = ConfluentProducer(KafkaSettings("127.0.0.1:1"))
    monkeypatch.setattr(producer, "_enqueued", lambda *_: False)
    for _ in range(3):
        asyncio.run(send_in_line(producer))
    assert (producer._gates, producer._waiting) == ({}, {})


async def test_a_send_beside_the_end_of_the_thread_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has failed what waited, and nobody would end the future of a record that was just on its way."""
    producer = ConfluentProducer(KafkaSettings("127.0.0.1:1", delivery_timeout=1))
    client = producer._current()
    monkeypatch.setattr(producer, "_current", lambda: client)
    await producer.stop()
    assert not client._thread.is_alive()

    async with asyncio.timeout(20):
        with pytest.raises(KafkaUnavailableError, match="try again"):
            await producer.send(OutgoingRecord("topic", b"value"))


class FailedForGood:
    """librdkafka after a fatal error, whose cause its thread hears after a record was refused."""

    def __init__(self, _config: object) -> None:
        self._is_refused = threading.Event()

    def __len__(self) -> int:
        """Nothing is queued."""
        return 0

    def poll(self, seconds: float) -> int:
        """Tell the cause, as the binding does."""
        if self._is_refused.wait(seconds):
            raise KafkaException(KafkaError(_CLUSTER_DENIED, "Failed to acquire idempotence PID", fatal=True))
        return 0

    def produce(self, *_: object, **__: object) -> None:
        """Refuse a record, without the cause."""
        self._is_refused.set()
        raise KafkaException(KafkaError(KafkaError._FATAL, "Unable to produce message: Local: Fatal error"))

    def flush(self, _seconds: float) -> int:
        """Nothing is left."""
        return 0

    def purge(self) -> None:
        """Nothing is queued."""


async def test_a_record_that_is_refused_before_the_cause_is_heard_fails_with_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The code of the refusal is the same for all fatal errors, and a missing permission is not cured by a retry."""
    monkeypatch.setattr("kallback.kafka.confluent.producer.Producer", FailedForGood)
    producer = ConfluentProducer(KafkaSettings("127.0.0.1:1", delivery_timeout=1))
    async with asyncio.timeout(20):
        with pytest.raises(AccessDeniedError, match="may write to no topic"):
            await producer.send(OutgoingRecord("topic", b"value"))
        await producer.stop()
