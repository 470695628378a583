"""A client that has gone silent is told from a topic that is silent."""

from __future__ import annotations

from kallback.kafka import TopicPartition
from kallback.kafka.offsets.read_stalls import (
    READER_LOOK_INTERVAL_S,
    READER_STALLED_AFTER_S,
    ReaderStalls,
    ReadStallDetector,
)

A = TopicPartition("t", 0)


def test_standing_still_behind_the_end_is_a_stall_after_the_patience() -> None:
    """The same position, below the end, for the whole patience."""
    watch = ReadStallDetector(30)
    assert watch.stalled({A: 5}, {A: 9}, 0) == frozenset()
    assert watch.stalled({A: 5}, {A: 9}, 29) == frozenset()
    assert watch.stalled({A: 5}, {A: 9}, 30) == {A}


def test_moving_on_is_no_stall() -> None:
    """Each step starts the patience anew."""
    watch = ReadStallDetector(30)
    watch.stalled({A: 5}, {A: 9}, 0)
    watch.stalled({A: 6}, {A: 9}, 29)
    assert watch.stalled({A: 6}, {A: 9}, 58) == frozenset()


def test_standing_at_the_end_is_no_stall() -> None:
    """Nothing to read is not the client's fault, and ends the patience that ran."""
    watch = ReadStallDetector(30)
    watch.stalled({A: 5}, {A: 9}, 0)
    watch.stalled({A: 9}, {A: 9}, 10)
    assert watch.stalled({A: 9}, {A: 12}, 40) == frozenset()


def test_a_partition_that_is_not_wanted_does_not_stall() -> None:
    """Back-pressure stops reading on purpose."""
    watch = ReadStallDetector(30)
    watch.stalled({A: 5}, {A: 9}, 0)
    watch.stalled({}, {}, 10)
    assert watch.stalled({A: 5}, {A: 9}, 35) == frozenset()


def test_a_reader_that_has_stopped_is_noticed_within_half_a_minute() -> None:
    """In the first look after the patience; looks come while somebody waits for records."""
    stalls = ReaderStalls()
    looks = [waited for waited in range(31) if stalls.is_due(waited) and stalls.stalled({A: 5}, {A: 9}, waited)]
    assert looks[0] <= READER_STALLED_AFTER_S + READER_LOOK_INTERVAL_S < 30


def test_a_caller_that_works_on_records_stalls_no_reader() -> None:
    """It does not wait meanwhile, so no time passes."""
    stalls = ReaderStalls()
    assert stalls.is_due(READER_LOOK_INTERVAL_S)
    assert not stalls.stalled({A: 5}, {A: 9}, READER_LOOK_INTERVAL_S)
    assert not stalls.is_due(READER_LOOK_INTERVAL_S + 0.1)
