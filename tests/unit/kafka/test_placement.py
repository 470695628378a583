"""Which partition takes a record that needs no order with others."""

from __future__ import annotations

from collections import Counter

import pytest

from kallback.kafka import MemoryBroker, MemoryProducer, OutgoingRecord, Placement


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_consecutive_turns_spread_evenly(count: int) -> None:
    """No partition gets more than one record more than another."""
    found = Counter(Placement(turn).partition_of(count) for turn in range(5040, 5240))
    assert max(found.values()) - min(found.values()) <= 1


def test_partitions_to_avoid_get_nothing() -> None:
    """The others take turns."""
    avoid = frozenset({0, 2, 4})
    assert {Placement(turn, avoid).partition_of(6) for turn in range(20)} == {1, 3, 5}


def test_where_all_are_to_be_avoided_all_are_used() -> None:
    """A record must go somewhere; partitions beyond the topic's number change nothing."""
    assert {Placement(turn, frozenset({0, 1, 7})).partition_of(2) for turn in range(4)} == {0, 1}


def test_what_is_perhaps_unread_is_avoided_while_others_are_left() -> None:
    """Where both leave no partition, the second kind is used."""
    first, second = frozenset({0, 1}), frozenset({2, 3})
    assert {Placement(turn, first, second).partition_of(6) for turn in range(20)} == {4, 5}
    assert {Placement(turn, first, second).partition_of(4) for turn in range(20)} == {2, 3}


def test_one_turn_means_one_partition() -> None:
    """A record that is published twice goes to one partition, where one worker sees both."""
    assert len({Placement(7, frozenset({3})).partition_of(12) for _ in range(5)}) == 1


async def test_a_placement_counts_more_than_the_key() -> None:
    """The key stays in the record."""
    broker = MemoryBroker()
    broker.create_topic("tasks", partitions=4)
    async with MemoryProducer(broker) as producer:
        places = [
            (await producer.send(OutgoingRecord("tasks", b"x", b"same", placement=Placement(turn)))).partition
            for turn in range(4)
        ]
    assert places == [0, 1, 2, 3]
    assert {record.key for record in broker.records("tasks")} == {b"same"}
