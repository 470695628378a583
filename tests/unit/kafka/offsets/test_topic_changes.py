"""What changed about a topic, by what Kafka says of it."""

from __future__ import annotations

from kallback.kafka.offsets.topic_changes import (
    PartitionsAdded,
    TopicBack,
    TopicGone,
    TopicObserver,
    TopicRecreated,
    TopicState,
)


def test_a_topic_that_stays_as_it_is_is_no_change() -> None:
    """The first look compares with nothing."""
    observer = TopicObserver()
    assert observer.observe({"t": TopicState("a", 3)}) == []
    assert observer.observe({"t": TopicState("a", 3)}) == []


def test_another_id_means_created_anew() -> None:
    """Also where the topic was seen missing in between."""
    observer = TopicObserver()
    observer.observe({"t": TopicState("a", 3)})
    assert observer.observe({"t": TopicState("b", 2)}) == [TopicRecreated("t", 2)]
    observer.observe({"t": None})
    assert observer.observe({"t": TopicState("c", 2)}) == [TopicRecreated("t", 2)]


def test_a_replaced_id_is_ignored() -> None:
    """A broker that has not heard of the new topic yet names the old one."""
    observer = TopicObserver()
    observer.observe({"t": TopicState("a", 3)})
    observer.observe({"t": TopicState("b", 3)})
    assert observer.observe({"t": TopicState("a", 3)}) == []
    assert observer.observe({"t": TopicState("b", 3)}) == []


def test_more_partitions_of_the_same_topic_are_added_ones() -> None:
    """Fewer cannot be."""
    observer = TopicObserver()
    observer.observe({"t": TopicState("a", 4)})
    assert observer.observe({"t": TopicState("a", 6)}) == [PartitionsAdded("t", 4, 6)]


def test_a_missing_topic_is_named_once_until_it_is_back() -> None:
    """A topic about which nothing is said stays what it was."""
    observer = TopicObserver()
    observer.observe({"t": TopicState("a", 1)})
    assert observer.observe({"t": None}) == [TopicGone("t")]
    assert observer.observe({"t": None}) == observer.observe({}) == []
    assert observer.missing == {"t"}
    assert observer.observe({"t": TopicState("a", 1)}) == [TopicBack("t")]
    assert observer.missing == frozenset()


def test_without_ids_nothing_counts_as_created_anew() -> None:
    """Brokers before 2.8 name none; offsets that go back tell there."""
    observer = TopicObserver()
    observer.observe({"t": TopicState(None, 1)})
    observer.observe({"t": None})
    assert observer.observe({"t": TopicState(None, 1)}) == [TopicBack("t")]
