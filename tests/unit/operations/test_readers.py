"""Who reads a topic of tasks: each member, then the partitions that no member reads."""

from __future__ import annotations

import pytest

from kallback.kafka import GroupMember, TopicGroup, TopicPartition
from kallback.operations.readers import readers_of, task_topics
from kallback.settings import Topics


def cook(number: int) -> TopicPartition:
    """A partition."""
    return TopicPartition("cook", number)


ANN = GroupMember("ann-1", "kallback", "10.0.0.1", "ann", frozenset({cook(0), cook(1), TopicPartition("bake", 0)}))
BOB = GroupMember("bob-1", "kallback", "10.0.0.2", None, frozenset({cook(3)}))
LAGS = {cook(0): 1, cook(1): 2, cook(2): 40, cook(3): 0, TopicPartition("bake", 0): 7}
KITCHEN = TopicGroup("kitchen", 2, 1, {}, sum(LAGS.values()), LAGS, (BOB, ANN))


def test_each_member_has_its_partitions_and_their_lag() -> None:
    """Those of other topics do not count; what no member reads is a row of its own."""
    rows = list(readers_of("cook", [KITCHEN]))
    assert [(each.member, each.partitions, each.lag) for each in rows] == [
        (ANN, (0, 1), 3),
        (BOB, (3,), 0),
        (None, (2,), 40),
    ]


def test_a_group_without_members_is_one_row() -> None:
    """It has read the topic: how far behind it is tells what waits for a worker."""
    left = TopicGroup("kitchen", 0, 4, {cook(0): 1}, 43, LAGS)
    [row] = readers_of("cook", [left])
    assert (row.group, row.member, row.partitions, row.lag) == ("kitchen", None, (0, 1, 2, 3), 43)


def test_a_group_of_another_topic_is_no_row() -> None:
    """Then nothing has ever read it."""
    baker = TopicGroup("bakery", 0, 0, {TopicPartition("bake", 0): 1}, 0, LAGS)
    [row] = readers_of("cook", [baker])
    assert (row.topic, row.group, row.member) == ("cook", None, None)


def test_topics_of_tasks_are_all_but_those_of_kallback_and_kafka() -> None:
    """A prefix of an environment is for kallback's own topics, so it chooses none."""
    existing = {"cook", "team-a.results", "team-a.bake", "__consumer_offsets"}
    assert task_topics(existing, Topics("team-a.")) == ["cook", "team-a.bake"]


def test_what_a_wire_check_leaves_is_no_topic_of_tasks() -> None:
    """Its topics for answers live for a day, and no worker is to read them."""
    existing = {"cook", "team-a.wire-check.cook.results", "team-a.wire-check.cook.progress"}
    assert task_topics(existing, Topics("team-a.")) == ["cook"]


@pytest.mark.parametrize("own", ["kallback.", "team-a.", ""])
def test_own_topics_of_another_environment_are_no_topics_of_tasks(own: str) -> None:
    """With another prefix, `kallback workers list` named `kallback.results` and so on as topics without workers."""
    prefixes = ["kallback.", "team-a.", "team-b-"]
    existing = {name for prefix in prefixes for name in Topics(prefix).all()} - {"team-b-outcomes"}
    existing |= {"cook", "team-b-cook", "team-b-wire-check.cook.results"}
    assert task_topics(existing, Topics(own)) == ["cook", "team-b-cook"]


@pytest.mark.parametrize("name", ["exam-results", "kiln.control", "results"])
def test_a_topic_of_tasks_may_have_a_name_like_one_of_kallback(name: str) -> None:
    """It is one of an environment if the others are there, too."""
    assert task_topics({name, "kiln.progress"}, Topics("team-a.")) == sorted([name, "kiln.progress"])
