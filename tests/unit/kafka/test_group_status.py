"""The status of a group member: lags that are unknown, partitions that are not read."""

from __future__ import annotations

import math

import msgspec

from kallback.kafka import UNKNOWN_LAG, GroupStatus, PartitionStatus, TopicPartition, lag_value
from kallback.kafka.group_status import OpenTransaction

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)
KNOWN = PartitionStatus(3, 5, 0, 10)
UNKNOWN = PartitionStatus(3, None, 0, 10)


def test_a_lag_without_position_or_end_is_unknown() -> None:
    """Unknown is a value of its own, neither 0 nor absent."""
    assert KNOWN.lag == 2
    assert UNKNOWN.lag is UNKNOWN_LAG
    assert PartitionStatus(None, 5, 0, 10).lag is UNKNOWN_LAG


def test_the_sum_is_unknown_while_one_lag_is() -> None:
    """A sum over some of the partitions would look like good news."""
    assert GroupStatus(joined=True, rebalances=1, last_poll=0, partitions={A: KNOWN}).lag == 2
    status = GroupStatus(joined=True, rebalances=1, last_poll=0, partitions={A: KNOWN, B: UNKNOWN})
    assert status.lag is UNKNOWN_LAG
    assert status.unknown_lags == 1


def test_an_unknown_lag_is_nan_in_a_gauge_and_a_word_in_json() -> None:
    """Its series does not disappear, and a probe says it."""
    assert math.isnan(lag_value(UNKNOWN_LAG))
    assert lag_value(7) == 7.0
    assert msgspec.json.encode(UNKNOWN_LAG) == b'"unknown"'


def test_a_stall_names_its_partitions() -> None:
    """A probe says which partitions are not read."""
    quiet = GroupStatus(joined=True, rebalances=1, last_poll=0, partitions={A: KNOWN})
    assert quiet.stall_reason() is None
    stalled = GroupStatus(joined=True, rebalances=1, last_poll=0, partitions={A: KNOWN}, stalled=frozenset({B, A}))
    assert stalled.stall_reason() == "not read for 30 s though there are records: t[0], t[1]"


def test_what_is_finished_above_a_long_task_is_no_backlog() -> None:
    """The commit position stays at the long task; 10,000 records behind it are done."""
    status = PartitionStatus(position=0, end=10_001, window_used=10_001, window=20_000, finished=10_000)
    assert (status.lag, status.unfinished) == (10_001, 1)
    assert UNKNOWN.unfinished is UNKNOWN_LAG


def test_a_transaction_that_stays_open_is_a_stall() -> None:
    """After as long as another stall; a probe says where it began and what it holds back."""

    def status(seconds: float) -> GroupStatus:
        transaction = OpenTransaction(17, 4, seconds)
        return GroupStatus(
            joined=True, rebalances=1, last_poll=0, partitions={A: KNOWN}, open_transactions={A: transaction}
        )

    assert status(29.0).stall_reason() is None
    said = "an open transaction holds back 4 offsets of t[0] from 17 on for 45 s: kallback doctor names its producer"
    assert status(45.4).stall_reason() == said
