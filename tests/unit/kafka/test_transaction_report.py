"""The log line of an open transaction names its producer, as far as Kafka tells; it is written in any case."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from kallback.kafka import PartitionTransaction, TopicPartition
from kallback.kafka.group_status import OpenTransaction
from kallback.kafka.transaction_report import ProducerReport
from kallback.protocol.errors import AccessDeniedError
from kallback.settings import KafkaSettings
from kallback.testing import eventually

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)
HELD = {A: OpenTransaction(7, 5, 12.0)}


async def lines(caplog: pytest.LogCaptureFixture, report: ProducerReport) -> list[str]:
    """What is said of one that is held, and then has ended."""
    with caplog.at_level(logging.INFO, "kallback.kafka"):
        report.begun(HELD)
        report.ended(A)
        await eventually("both lines", lambda: len(caplog.records) >= 2)
    return [each.getMessage() for each in caplog.records]


async def test_the_producer_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """That of the transaction that begins where reading stops, and no other of the topic."""
    asked: list[Sequence[str]] = []

    async def ask(_settings: KafkaSettings, topics: Sequence[str]) -> list[PartitionTransaction]:
        asked.append(topics)
        others = [PartitionTransaction(A, 9, 4, "later", 0), PartitionTransaction(B, 7, 5, "elsewhere", 0)]
        return [*others, PartitionTransaction(A, 7, 3, "kitchen-1", 0)]

    begin, end = await lines(caplog, ProducerReport(KafkaSettings(), ask))
    assert asked == [["t"]]
    assert begin.endswith("seconds=12 producer_id=3 transactional_id='kitchen-1'")
    assert end.endswith("has ended partition='t[0]'")


async def test_a_name_that_may_not_be_seen_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Kafka tells the producer's number all the same."""

    async def ask(_settings: KafkaSettings, _topics: Sequence[str]) -> list[PartitionTransaction]:
        return [PartitionTransaction(A, 7, 3, None, 0)]

    begin, _ = await lines(caplog, ProducerReport(KafkaSettings(), ask))
    assert begin.endswith("seconds=12 producer_id=3")


@pytest.mark.parametrize("error", [AccessDeniedError("no"), RuntimeError("a client's own")])
async def test_who_may_not_ask_says_it_without_the_producer(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    """So does a member whose broker is too old, or does not answer."""

    async def ask(_settings: KafkaSettings, _topics: Sequence[str]) -> list[PartitionTransaction]:
        raise error

    begin, _ = await lines(caplog, ProducerReport(KafkaSettings(), ask))
    assert begin.endswith("offsets_behind=5 seconds=12")


async def test_lines_that_come_later_are_said_too(caplog: pytest.LogCaptureFixture) -> None:
    """The thread ends when all is said, and another one begins."""

    async def ask(_settings: KafkaSettings, _topics: Sequence[str]) -> list[PartitionTransaction]:
        return []

    report = ProducerReport(KafkaSettings(), ask)
    await lines(caplog, report)
    await eventually("the end of the thread", lambda: not report._runs)
    caplog.clear()
    assert len(await lines(caplog, report)) == 2
