"""A transaction that does not end is named: partition, last stable offset, what it holds back, since when."""

from __future__ import annotations

import logging

import pytest

from kallback.kafka import TopicPartition
from kallback.kafka.group_status import OpenTransaction
from kallback.kafka.offsets.open_transactions import OpenTransactions

A = TopicPartition("t", 0)
B = TopicPartition("t", 1)


def test_an_offset_that_stays_below_the_end_is_noticed_after_a_while() -> None:
    """With the time since it was first seen."""
    transactions = OpenTransactions()
    transactions.look({A: 7, B: 3}, {A: 9, B: 3}, now=100.0)
    assert transactions.noticed == {}
    transactions.look({A: 7, B: 3}, {A: 12, B: 3}, now=112.0)
    assert transactions.noticed == {A: OpenTransaction(7, 5, 12.0)}


def test_transactions_that_end_are_nothing_to_notice() -> None:
    """Each one holds records back for a moment, and the offset moves."""
    transactions = OpenTransactions()
    for second in range(0, 60, 5):
        transactions.look({A: second}, {A: second + 2}, now=float(second))
        assert transactions.noticed == {}


def test_a_partition_without_a_known_end_is_left_out() -> None:
    """As one that is not read to the last stable offset."""
    transactions = OpenTransactions()
    for now in (0.0, 60.0):
        transactions.look({A: 7}, {}, now=now)
    assert transactions.noticed == {}


def test_begin_and_end_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The first line names everything that an operator needs."""
    transactions = OpenTransactions()
    with caplog.at_level(logging.INFO):
        for now in (0.0, 12.0, 14.0, 16.0):
            transactions.look({A: 7}, {A: 9}, now=now)
        transactions.look({A: 9}, {A: 9}, now=18.0)
    begin, end = (each.getMessage() for each in caplog.records)
    assert begin.endswith("partition='t[0]' last_stable_offset=7 offsets_behind=2 seconds=12")
    assert end.endswith("has ended partition='t[0]'")
