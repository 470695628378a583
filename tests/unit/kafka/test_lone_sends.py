"""Records that are sent again one by one."""

from __future__ import annotations

import pytest

from kallback.kafka import MemoryBroker, MemoryProducer, OutgoingRecord
from kallback.kafka.lone_sends import LoneSends
from kallback.protocol import KafkaUnavailableError


async def test_a_producer_is_made_when_a_record_needs_it_and_for_all_of_them() -> None:
    """A client more costs connections and a thread."""
    broker = MemoryBroker()
    broker.create_topic("t")
    made: list[MemoryProducer] = []

    def make() -> MemoryProducer:
        made.append(MemoryProducer(broker))
        return made[-1]

    lone = LoneSends(make)
    assert not made
    for _ in range(2):
        await lone.send(OutgoingRecord("t", b"1"))
    assert (len(made), len(broker.records("t"))) == (1, 2)
    await lone.stop()


async def test_nothing_is_sent_again_after_the_stop() -> None:
    """A producer that is made then would not be stopped."""
    broker = MemoryBroker()
    broker.create_topic("t")
    lone = LoneSends(lambda: MemoryProducer(broker))
    await lone.stop()
    with pytest.raises(KafkaUnavailableError):
        await lone.send(OutgoingRecord("t", b"1"))
    assert not broker.records("t")
