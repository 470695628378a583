"""Asking what a group has committed, when nobody answers: reading goes on without notes."""

from __future__ import annotations

import asyncio

import pytest

from kallback.kafka import TopicPartition
from kallback.kafka.aiokafka import committed_offsets as aiokafka_notes
from kallback.kafka.confluent import committed_offsets as confluent_notes
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.settings import KafkaSettings

NOBODY = KafkaSettings("127.0.0.1:1")
A = TopicPartition("t", 0)


async def test_without_an_answer_there_are_no_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint that does not come in time holds nobody up."""
    monkeypatch.setattr(aiokafka_notes, "_PATIENCE", 0.3)
    monkeypatch.setattr(confluent_notes, "_PATIENCE", 0.3)
    async with asyncio.timeout(10):
        assert await aiokafka_notes.committed_metadata(NOBODY, "g", [A]) == {}
        assert await asyncio.to_thread(confluent_notes.committed_metadata, NOBODY, "g", [A]) == {}


async def test_an_empty_share_asks_nobody() -> None:
    """A member without partitions is told at once."""
    async with asyncio.timeout(1):
        assert await aiokafka_notes.committed_metadata(NOBODY, "g", []) == {}
    assert confluent_notes.committed_metadata(NOBODY, "g", []) == {}


def test_what_aiokafka_writes_ends_with_a_zero() -> None:
    """Or confluent-kafka would read on behind it; nothing stays nothing."""
    commits = aiokafka_notes.client_commits({A: Commit(7, "1:AA"), TopicPartition("t", 1): Commit(8)})
    assert list(commits.values()) == [(7, "1:AA\0"), (8, "")]
