"""The doctor tells what is hidden from what is not there."""

from __future__ import annotations

import pytest

from kallback import kafka
from kallback.kafka import TopicGroup
from kallback.operations.doctor.permissions import groups_of, seen_topics
from kallback.protocol import AccessDeniedError, MissingTopicError
from kallback.settings import KafkaSettings, Settings


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Topics that a lookup refuses, among those that a list does not have."""
    refused = set[str]()

    async def listed(_: KafkaSettings) -> frozenset[str]:
        return frozenset({"kallback.results", "cook"})

    async def asked(_: KafkaSettings, topics: list[str]) -> list[TopicGroup]:
        if topics[0] in refused:
            raise AccessDeniedError(f"looking up {topics[0]!r} failed")
        raise MissingTopicError(f"Kafka topic {topics[0]!r} does not exist")

    monkeypatch.setattr(kafka, "list_topics", listed)
    monkeypatch.setattr(kafka, "groups_of", asked)
    return refused


async def test_a_topic_that_is_hidden_is_not_said_to_be_missing(hidden: set[str]) -> None:
    """The remedy for one is a permission, for the other a command that creates it."""
    assert await seen_topics(Settings()) == {"kallback.results", "cook"}
    hidden |= {"kallback.control", "kallback.progress"}
    with pytest.raises(AccessDeniedError, match=r"looking up 'kallback\.progress', 'kallback\.control' failed"):
        await seen_topics(Settings())


@pytest.mark.parametrize(("groups", "sees_all"), [([TopicGroup("g", 1, 0)], False), ([TopicGroup("g", 0, 3)], True)])
async def test_readers_are_told_if_there_are_some_or_none_can_be_hidden(
    monkeypatch: pytest.MonkeyPatch, groups: list[TopicGroup], *, sees_all: bool
) -> None:
    """Kafka's list leaves out the groups that a user may not look at."""
    given(monkeypatch, groups, sees_all=sees_all)
    assert await groups_of(Settings(), "cook") == groups


@pytest.mark.parametrize("groups", [[], [TopicGroup("g", 0, 3)]])
async def test_no_reader_is_said_to_be_missing_where_readers_can_be_hidden(
    monkeypatch: pytest.MonkeyPatch, groups: list[TopicGroup]
) -> None:
    """Who starts a second bridge because the first one cannot be seen has not been helped."""
    given(monkeypatch, groups, sees_all=False)
    with pytest.raises(AccessDeniedError, match="add DESCRIBE on all groups"):
        await groups_of(Settings(), "cook")


def given(monkeypatch: pytest.MonkeyPatch, groups: list[TopicGroup], *, sees_all: bool) -> None:
    """Have Kafka answer this."""

    async def listed(*_: object) -> list[TopicGroup]:
        return groups

    async def sees(_: KafkaSettings) -> bool:
        return sees_all

    monkeypatch.setattr(kafka, "groups_of", listed)
    monkeypatch.setattr(kafka, "sees_groups", sees)
