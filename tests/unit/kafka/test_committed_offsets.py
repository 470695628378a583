"""Asking how partitions start, when Kafka does not answer: reading goes on without commit metadata."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaException

from kallback.kafka import ConsumerOptions, TopicPartition
from kallback.kafka.aiokafka.membership import committed_offsets as aiokafka_notes
from kallback.kafka.confluent.membership import committed_offsets as confluent_notes
from kallback.kafka.offsets.history import UNKNOWN_START
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.settings import KafkaSettings

NOBODY = KafkaSettings("127.0.0.1:1")
A = TopicPartition("t", 0)
NOTING = ConsumerOptions(commit_metadata=True)
MARKING = ConsumerOptions(mark_history=True)


async def test_without_an_answer_there_are_no_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint that does not come in time holds nobody up."""
    monkeypatch.setattr(aiokafka_notes, "_PATIENCE", 0.3)
    monkeypatch.setattr(confluent_notes, "_PATIENCE", 0.3)
    async with asyncio.timeout(10):
        assert await aiokafka_notes.partition_starts(NOBODY, "g", [A], NOTING) == {A: UNKNOWN_START}
        found = await asyncio.to_thread(confluent_notes.partition_starts, NOBODY, "g", [A], NOTING)
        assert found == {A: UNKNOWN_START}


async def test_without_an_answer_a_consumer_that_marks_history_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take news for history, or history for news."""
    monkeypatch.setattr(aiokafka_notes, "_PATIENCE", 0.3)
    monkeypatch.setattr(confluent_notes, "_PATIENCE", 0.3)
    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            await aiokafka_notes.partition_starts(NOBODY, "g", [A], MARKING)
        with pytest.raises(KafkaException):
            await asyncio.to_thread(confluent_notes.partition_starts, NOBODY, "g", [A], MARKING)


async def test_an_empty_share_asks_nobody() -> None:
    """A member without partitions is told at once."""
    async with asyncio.timeout(60):
        assert await aiokafka_notes.partition_starts(NOBODY, "g", [], MARKING) == {}
    assert confluent_notes.partition_starts(NOBODY, "g", [], MARKING) == {}


def test_what_aiokafka_writes_ends_with_a_zero() -> None:
    """Or confluent-kafka would read on behind it; nothing stays nothing."""
    commits = aiokafka_notes.client_commits({A: Commit(7, "1:AA"), TopicPartition("t", 1): Commit(8)})
    assert list(commits.values()) == [(7, "1:AA\0"), (8, "")]
