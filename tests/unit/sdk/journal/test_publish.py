"""What Kafka's answers mean for a task."""

from __future__ import annotations

import itertools

import pytest

from kallback.kafka import MemoryBroker, MemoryProducer, OutgoingRecord
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KafkaUnavailableError,
    KallbackError,
    MissingTopicError,
    RecordTooLargeError,
)
from kallback.sdk.journal.publish import (
    NotSetUp,
    Publication,
    Refused,
    Sent,
    TaskPublisher,
    Unreachable,
    publication_of,
    retry_delays,
)
from kallback.sdk.journal.serdes import StepSerde
from kallback.settings import KafkaSettings

RECORD = OutgoingRecord("prepare", b"{}")


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (RecordTooLargeError("x"), "urn:kallback:record-too-large", 413),
        (ConfigurationError("x"), "urn:kallback:misconfigured", 500),
    ],
)
def test_what_trying_again_cannot_cure_is_refused(error: KallbackError, kind: str, status: int) -> None:
    """A leaf per remedy, with the producer's own sentence."""
    assert publication_of(error) == Refused(kind, status, "x")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MissingTopicError("x"), "urn:kallback:missing-topic"),
        (AccessDeniedError("x"), "urn:kallback:access-denied"),
    ],
)
def test_what_a_deployment_may_still_bring_is_not_refused(error: KallbackError, kind: str) -> None:
    """Services may be deployed before their topics and permissions."""
    assert publication_of(error) == NotSetUp(kind, 500, "x")


def test_a_silent_broker_is_unreachable() -> None:
    """The next step may bring it."""
    assert publication_of(KafkaUnavailableError("no broker answers")) == Unreachable("no broker answers")


async def test_an_acknowledged_record_has_a_position() -> None:
    """The journal shows where a record went."""
    broker = MemoryBroker()
    broker.create_topic("prepare")
    async with MemoryProducer(broker) as producer:
        assert await TaskPublisher(KafkaSettings(), producer).send(RECORD) == Sent("prepare", 0, 0)


async def test_a_broker_that_is_away_raises_nothing() -> None:
    """An exception would cost one of the invocation's attempts."""
    broker = MemoryBroker()
    broker.create_topic("prepare")
    async with MemoryProducer(broker) as producer:
        broker.available = False
        assert isinstance(await TaskPublisher(KafkaSettings(), producer).send(RECORD), Unreachable)


async def test_a_given_producer_is_not_stopped() -> None:
    """Who gives it stops it."""
    broker = MemoryBroker()
    broker.create_topic("prepare")
    async with MemoryProducer(broker) as producer:
        publisher = TaskPublisher(KafkaSettings(), producer)
        await publisher.stop()
        assert isinstance(await publisher.send(RECORD), Sent)


async def test_stopping_what_never_started_is_fine() -> None:
    """No task, no connection; and twice is as good as once."""
    publisher = TaskPublisher(KafkaSettings())
    await publisher.stop()
    await publisher.stop()


def test_pauses_grow_to_a_minute() -> None:
    """Kafka is asked soon at first, then once a minute."""
    seconds = [delay.total_seconds() for delay in itertools.islice(retry_delays(), 9)]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    "publication",
    [
        Sent("prepare", 1, 2),
        Unreachable("no"),
        NotSetUp("urn:kallback:access-denied", 500, "allow it"),
        Refused("urn:kallback:missing-topic", 500, "make it"),
    ],
)
def test_every_outcome_survives_the_journal(publication: Publication) -> None:
    """A replay sees what the step saw."""
    serde = StepSerde[Publication](Publication)
    assert serde.deserialize(serde.serialize(publication)) == publication
