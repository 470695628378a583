"""A partition that is not read although it has records, by a member of a group or by a reader of a whole topic."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import pytest
from confluent_kafka import TopicPartition as ConfluentPartition
from tests.integration.kafka.labs import RealLab, transaction

from kallback.kafka import Consumer, Record, TopicPartition
from kallback.kafka.aiokafka import consumer as aiokafka_consumer
from kallback.kafka.aiokafka import stalls as aiokafka_stalls
from kallback.kafka.aiokafka.membership.group_member import client_partition
from kallback.kafka.confluent import reading as confluent_reading
from kallback.kafka.confluent.membership.flow_control import FlowControl
from kallback.kafka.offsets import read_stalls
from kallback.protocol import KafkaUnavailableError

pytestmark = pytest.mark.integration

PATIENCE_S = 1.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look twice a second, and wait one second instead of thirty."""
    monkeypatch.setattr(confluent_reading, "STALLED_AFTER_S", PATIENCE_S)
    monkeypatch.setattr(aiokafka_stalls, "STALLED_AFTER_S", PATIENCE_S)
    monkeypatch.setattr(aiokafka_consumer, "_STALL_LOOK_S", PATIENCE_S / 2)
    monkeypatch.setattr(read_stalls, "READER_STALLED_AFTER_S", PATIENCE_S)
    monkeypatch.setattr(read_stalls, "READER_LOOK_INTERVAL_S", PATIENCE_S / 2)


async def pause_behind_its_back(consumer: Any, partition: TopicPartition) -> None:
    """Stop the client's fetching of a partition, as a fault of the client would.

    In the thread that reads, for confluent-kafka has one call of a consumer wait for another one, and a thread that
    polls without end leaves others no turn, for minutes.
    """
    if hasattr(consumer, "_inner"):
        consumer._inner.pause(client_partition(partition))
        return
    client_partitions = [ConfluentPartition(partition.topic, partition.partition)]
    if hasattr(consumer, "_source"):
        await consumer._thread.submit(lambda: consumer._source._consumer.pause(client_partitions))
        return
    reading, paused = consumer._thread._reading, threading.Event()

    def pause_and_poll(wait_s: float) -> None:
        del reading.poll
        reading._consumer.pause(client_partitions)
        paused.set()
        reading.poll(wait_s)

    reading.poll = pause_and_poll
    assert await asyncio.to_thread(paused.wait, 30)


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
async def test_a_partition_that_is_not_read_is_named_and_then_read(
    lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has stopped reading it: the status names it until its records arrive."""
    monkeypatch.setattr(confluent_reading, "_LASTING", 60)  # a busy machine may take seconds to go on
    topic = lab.topic()
    partition = TopicPartition(topic, 0)
    consumer = await lab.consumer(topic)
    await lab.send(topic, "first")
    (first,) = await lab.receive(consumer, 1)
    consumer.done(first)
    await pause_behind_its_back(consumer, partition)
    await lab.send(topic, "second")

    reasons: set[str | None] = set()
    records: list[Record] = []
    async with asyncio.timeout(60):
        while not records:
            records = await consumer.fetch(10, 0.1)
            reasons.add(consumer.group_status().stall_reason())
    assert f"not read for 30 s though there are records: {partition}" in reasons
    assert [record.value for record in records] == [b"second"]


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_a_client_that_is_resumed_in_vain_is_given_up(lab: RealLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner makes another one, which reads the partition; aiokafka's consumer does that itself, at once."""
    topic = lab.topic()
    group = lab.new_group()
    consumer = await lab.consumer(topic, group)
    await lab.send(topic, "first")
    (first,) = await lab.receive(consumer, 1)
    consumer.done(first)
    monkeypatch.setattr(FlowControl, "resume", lambda *_: None)
    await pause_behind_its_back(consumer, TopicPartition(topic, 0))
    await lab.send(topic, "second")
    with pytest.raises(KafkaUnavailableError, match="start a new consumer"):
        await fetch_until_it_fails(consumer)
    await consumer.stop()
    (second,) = await lab.receive(await lab.consumer(topic, group), 1)
    assert second.value == b"second"


async def fetch_until_it_fails(consumer: Consumer) -> None:
    """As a worker does; at most a minute."""
    async with asyncio.timeout(60):
        while True:
            await consumer.fetch(10, 0.1)


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
async def test_a_reader_says_which_partition_it_does_not_read(lab: RealLab) -> None:
    """Also while others are read: cancels that nobody sees would look like none."""
    topic = lab.topic(partitions=2)
    quiet = TopicPartition(topic, 0)
    reader = await lab.reader(topic)
    await pause_behind_its_back(reader, quiet)
    await lab.send_to(topic, 0, "unseen")

    async def read_on() -> None:
        while True:
            await lab.send_to(topic, 1, "seen")
            while await reader.fetch(PATIENCE_S / 4):
                pass  # only time that the reader waits counts

    with pytest.raises(KafkaUnavailableError, match=re.escape(f"though there are records: {quiet};")):
        await asyncio.wait_for(read_on(), 60)


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
@pytest.mark.parametrize("abort", [False, True])
async def test_a_reader_at_the_end_of_its_topic_is_at_rest(lab: RealLab, *, abort: bool) -> None:
    """Also where the last offsets are those of transaction markers, or of records that were taken back."""
    topic = lab.topic()
    reader = await lab.reader(topic)
    with transaction(lab.settings, topic, "a", abort=abort):
        pass
    got: list[str] = []
    for _ in range(10):  # several times the patience
        got += lab.values(await reader.fetch(PATIENCE_S / 2))
    assert got == ([] if abort else ["a"])
