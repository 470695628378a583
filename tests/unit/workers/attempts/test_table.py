"""What a worker knows of its attempts, while a rebalance takes partitions away."""

from __future__ import annotations

from kallback.kafka import Record, TopicPartition
from kallback.protocol import Attempt, TaskId
from kallback.workers.attempts.decide import AttemptKey
from kallback.workers.attempts.table import AttemptTable

KEY = AttemptKey(TaskId("t1"), Attempt(1))
RECORD = Record("orders", 0, 7, 0, None, b"{}", ())
GOING = frozenset({TopicPartition("orders", 0)})


def test_an_attempt_that_is_watched_only_while_its_partition_goes_leaves_its_record_done() -> None:
    """Its start was acknowledged late: the next owner would take the attempt for a lost one."""
    table = AttemptTable(finished_kept=2)
    table.admit(KEY, RECORD)
    assert table.acknowledge_watched(GOING) == []
    assert table.watch(KEY) == [RECORD]


def test_a_partition_that_came_back_keeps_the_records_of_its_attempts() -> None:
    """A record of it is handed out again: the rebalance is over."""
    table = AttemptTable(finished_kept=2)
    table.acknowledge_watched(GOING)
    table.admit(KEY, RECORD)
    assert table.watch(KEY) == []
