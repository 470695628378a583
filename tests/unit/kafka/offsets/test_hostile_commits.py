"""What any member of a group may have committed: positions and texts, well-formed or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.offsets.commit_metadata import MAX_TEXT, CommitMetadata, encode
from kallback.kafka.offsets.history import PartitionStart, history_text
from kallback.kafka.offsets.metadata_buffer import new_record_buffer
from kallback.kafka.offsets.partition_metadata import Commit, found_commit

A = TopicPartition("t", 0)
LARGEST = 2**63 - 1
POSITIONS = st.one_of(st.integers(0, 40), st.sampled_from([2**31, 2**53, LARGEST - 1, LARGEST]))
NOTED = st.builds(
    CommitMetadata,
    st.lists(st.tuples(st.integers(0, 30), st.integers(31, LARGEST)), max_size=1),
    st.dictionaries(POSITIONS, st.integers(1, 2**31 - 1), max_size=8),
    st.booleans(),
)
TEXTS = st.one_of(
    st.text(max_size=50),
    st.sampled_from(["\0", "1:", "2:", "3:AAAB", "1:" + "_" * MAX_TEXT, "[" * MAX_TEXT, "\U0010ffff" * MAX_TEXT]),
    st.from_regex(r"[12]:[A-Za-z0-9_-]{0,200}", fullmatch=True),
    st.integers(0, 10**18).map(history_text),
    st.tuples(st.integers(0, 30), NOTED).map(lambda case: encode(*case)),
)


@pytest.mark.parametrize("options", [ConsumerOptions(commit_metadata=True), ConsumerOptions(mark_history=True)])
@given(position=POSITIONS, text=TEXTS, end=st.integers(0, 20))
def test_no_commit_concerns_records_that_are_written_after_an_assignment(
    options: ConsumerOptions, position: int, text: str, end: int
) -> None:
    """They are handed out for the first time and as no history, and then nothing is left of the commit but a doubt."""
    books = new_record_buffer(options, lambda: None, lambda: 0.0)
    books.restore({A: PartitionStart(found_commit(position, text), 0, end)})
    epoch = books.assign([A])[A]
    later = range(end, end + 10)
    books.put(A, [Record("t", 0, at, 0, None, b"", (), epoch) for at in later])
    taken = books.take(10)
    assert [(each.offset, each.deliveries, each.history) for each in taken] == [(at, 1, False) for at in later]
    for record in taken:
        books.done(record)
    assert books.commits()[A] in {Commit(end + 10), Commit(end + 10, encode(0, CommitMetadata(at_work=True)))}


@given(POSITIONS, st.text(max_size=MAX_TEXT + 10))
def test_a_position_stays_and_a_text_is_bounded(position: int, text: str) -> None:
    """What no member of ours can have written is not kept in memory."""
    found = found_commit(position, text)
    assert found.position == position
    assert found.metadata in {text, ""}
    assert len(found.metadata) <= MAX_TEXT
