"""A worker that leaves a transaction open holds back what others write behind it: members say so."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from typing import TYPE_CHECKING

import pytest
from tests.integration.kafka.labs import RealLab, transaction

from kallback.kafka import TopicPartition, group_status
from kallback.kafka.aiokafka import consumer as aiokafka_consumer
from kallback.kafka.aiokafka import stalls as aiokafka_stalls
from kallback.kafka.confluent import reading as confluent_reading
from kallback.kafka.offsets import open_transactions
from kallback.kafka.offsets.partition_metadata import Commit

if TYPE_CHECKING:
    from kallback.kafka import Consumer
    from kallback.kafka.group_status import OpenTransaction

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice after a second in place of ten."""
    monkeypatch.setattr(open_transactions, "NOTICED_AFTER_S", 1.0)


async def test_a_transaction_that_stays_open_is_in_the_status(lab: RealLab, caplog: pytest.LogCaptureFixture) -> None:
    """Where it began and what it holds back, until it ends; what was held back is read then."""
    topic = lab.topic()
    partition = TopicPartition(topic, 0)
    consumer = await lab.consumer(topic)
    await lab.send(topic, "a", "b")
    for record in await lab.receive(consumer, 2):
        consumer.done(record)
    opened = transaction(lab.settings, topic, "c")
    await asyncio.to_thread(opened.__enter__)
    try:
        await lab.send(topic, "d", "e")
        fetching = asyncio.create_task(lab.receive(consumer, 3))

        def found() -> OpenTransaction | None:
            return noticed(consumer, partition)

        await lab.until(lambda: (it := found()) is not None and it.offsets_behind == 3, "the open transaction")
        seen = found()
        assert seen is not None
        assert (seen.last_stable_offset, seen.seconds >= 1.0, fetching.done()) == (2, True, False)
        line = f"partition='{topic}[0]' last_stable_offset=2"
        await lab.until(lambda: line in caplog.text, "the log line")
        (said,) = [each for each in caplog.text.splitlines() if line in each]
        assert re.search(r"producer_id=\d+ transactional_id='[0-9a-f]{32}'", said)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
    assert lab.values(await fetching) == ["c", "d", "e"]
    await lab.until(lambda: noticed(consumer, partition) is None, "the end of the transaction")


async def test_a_partition_that_a_transaction_holds_is_not_taken_for_stalled(
    lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read as far as it can be: a probe names the transaction, and the client is not replaced."""
    monkeypatch.setattr(confluent_reading, "STALLED_AFTER_S", 1.0)
    monkeypatch.setattr(aiokafka_stalls, "STALLED_AFTER_S", 1.0)
    monkeypatch.setattr(aiokafka_consumer, "_STALL_LOOK_S", 0.5)
    monkeypatch.setattr(group_status, "STALLED_AFTER_S", 4.0)  # of transactions, in the sentence
    topic = lab.topic()
    consumer = await lab.consumer(topic)
    await lab.send(topic, "a")
    await lab.receive(consumer, 1)
    opened = transaction(lab.settings, topic, "b")
    await asyncio.to_thread(opened.__enter__)
    try:
        await lab.send(topic, "c")
        reasons = set[str]()
        async with asyncio.timeout(60):
            while not any("an open transaction holds back" in each for each in reasons):
                assert await consumer.fetch(1, 0.2) == []
                reasons.add(consumer.group_status().stall_reason() or "")
        assert not any("not read for" in each for each in reasons)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
    assert lab.values(await lab.receive(consumer, 2, patience=60)) == ["b", "c"]
    assert consumer.group_status().rebalances == 1


async def test_offsets_reset_to_the_end_behind_an_open_transaction_count(
    lab: RealLab, caplog: pytest.LogCaptureFixture
) -> None:
    """The log goes on to that position: the group begins there, and nothing before it is read again."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    opened = transaction(lab.settings, topic, "c")
    await asyncio.to_thread(opened.__enter__)
    try:
        await lab.send(topic, "d", "e")
        await lab.commit(group, topic, Commit(5))
        with caplog.at_level(logging.WARNING):
            consumer = await lab.consumer(topic, group, dataclasses.replace(lab.quiet, mark_history=True))
            assert await consumer.fetch(1, 1) == []
            await lab.until(lambda: bool(consumer.assignment()), "an assignment")
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
    await lab.send(topic, "f")
    (record,) = await lab.receive(consumer, 1)
    assert (record.value, record.history) == (b"f", False)
    assert "lie beyond the ends of partitions" not in caplog.text


async def test_what_was_written_behind_an_open_transaction_is_history_to_a_new_group(lab: RealLab) -> None:
    """It was there before the group, though it could not be read yet."""
    topic = lab.topic()
    await lab.send(topic, "a")
    opened = transaction(lab.settings, topic, "b")
    await asyncio.to_thread(opened.__enter__)
    try:
        await lab.send(topic, "c")
        consumer = await lab.consumer(topic, options=dataclasses.replace(lab.quiet, mark_history=True))
        (first,) = await lab.receive(consumer, 1)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)
    await lab.send(topic, "d")
    records = [first, *await lab.receive(consumer, 3)]
    assert [(record.value, record.history) for record in records] == [
        (b"a", True),
        (b"b", True),
        (b"c", True),
        (b"d", False),
    ]


def noticed(consumer: Consumer, partition: TopicPartition) -> OpenTransaction | None:
    """What the status says of a partition."""
    return consumer.group_status().open_transactions.get(partition)
