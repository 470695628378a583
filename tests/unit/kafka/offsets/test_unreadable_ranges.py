"""An unreadable record may cover a range of offsets: positions step over exactly that range."""

from __future__ import annotations

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition, Unreadable
from kallback.kafka.offsets.history import UNKNOWN_START
from kallback.kafka.offsets.metadata_buffer import MetadataBuffer
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.records import unreadable_record

A = TopicPartition("t", 0)


@pytest.fixture(params=[RecordBuffer, MetadataBuffer])
def buffer(request: pytest.FixtureRequest) -> RecordBuffer:
    """A buffer that holds record 4, a batch of offsets 5 to 24 that cannot be read, and record 25."""
    kind: type[RecordBuffer] = request.param
    made = kind(ConsumerOptions(), lambda: None)
    made.restore({A: UNKNOWN_START})
    made.assign([A])
    bad = unreadable_record(A, 5, 1, Unreadable("a batch", 20))
    made.put(A, [Record("t", 0, 4, 0, None, b"", (), 1), bad, Record("t", 0, 25, 0, None, b"", (), 1)])
    return made


def test_the_next_offset_lies_behind_the_range() -> None:
    """A record by itself covers its own offset only."""
    assert unreadable_record(A, 5, 1, Unreadable("a batch", 20)).next_offset == 25
    assert Record("t", 0, 5, 0, None, b"", ()).next_offset == 6


def test_a_settled_range_is_committed_whole(buffer: RecordBuffer) -> None:
    """A restart in the middle of the range would read the same batch again."""
    first, bad = buffer.take(2)
    buffer.done(first)
    buffer.done(bad)
    assert buffer.commits()[A].position == 25


def test_an_unfinished_range_holds_the_position(buffer: RecordBuffer) -> None:
    """Until its dead letter is written, the position stays before it."""
    first, _bad, last = buffer.take(3)
    buffer.done(first)
    buffer.done(last)
    assert buffer.commits()[A] == Commit(5, buffer.commits()[A].metadata)
