"""Topics of a check: which it makes, and which it refuses."""

from __future__ import annotations

from unittest.mock import AsyncMock

import pytest

from kallback.kafka import MemoryBroker, MemoryClients, TopicGroup
from kallback.protocol import ConfigurationError
from kallback.settings import KafkaSettings
from kallback.wire_check import CheckedTopics, connections, own_topics, prepare_topics

OWN = own_topics("kallback.wire-check.", "prepare")
TOPICS = CheckedTopics(tasks="prepare", results="kallback.results", progress=OWN[1], control="kallback.control")


async def test_topics_that_a_bridge_reads_are_refused_with_the_names_of_those_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside `kallback dev` the form without --results works; a worker with a list of topics must allow the check's."""

    async def nothing(*_: object) -> None: ...

    async def groups(_settings: object, topics: list[str]) -> list[TopicGroup]:
        return [TopicGroup("kallback-bridge", 1, 0)] if topics == ["kallback.results"] else []

    monkeypatch.setattr(connections, "create_topics", nothing)
    monkeypatch.setattr(connections, "check_topics", nothing)
    monkeypatch.setattr(connections, "groups_of", groups)
    with pytest.raises(ConfigurationError) as refused:
        await prepare_topics(KafkaSettings("localhost:9092"), TOPICS, [TOPICS.progress], OWN)

    assert "leave --results and --progress out" in str(refused.value)
    assert "kallback.wire-check.prepare.results and kallback.wire-check.prepare.progress" in str(refused.value)


async def test_workers_that_read_the_topic_already_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The check took answers of the worker of `kallback dev --example` for those of the one that it had started."""
    broker, process = MemoryBroker(), AsyncMock()
    for topic in ("prepare", *OWN):
        broker.create_topic(topic)

    async def groups(_settings: object, _topics: list[str]) -> list[TopicGroup]:
        return [TopicGroup("kitchen", 2, 0), TopicGroup("gone", 0, 12)]

    monkeypatch.setattr(connections, "groups_of", groups)
    topics = CheckedTopics(tasks="prepare", results=OWN[0], progress=OWN[1], control="")
    async with connections.open_connections(MemoryClients(broker), KafkaSettings("localhost:9092"), topics, process):
        process.start.assert_awaited_once()
    [line] = caplog.records
    assert "workers read this topic already" in line.getMessage()
    assert "['kitchen']" in line.getMessage()
