"""What a partition holds before its group has committed anything there: its history. Pure.

A group without a valid commit of a partition (it is new, its offsets expired or were deleted, the log was cut back)
reads the partition from its beginning. Everything below the end at that time is history to it. Such a group commits at
once: the beginning, and the end of the history as commit metadata. Each later commit repeats that end until the
position has come to it, so that it survives crashes and rebalances.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, NamedTuple

from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.records import TopicPartition

_TEXT: Final = re.compile(r"history:([0-9]{1,18})", re.ASCII)


class CommitState(Enum):
    """What a group's commit of a partition is worth."""

    VALID = auto()
    """Reading goes on there, or at the beginning of a log that begins later."""
    ABSENT = auto()
    """The group has committed nothing: it is new, or its offsets expired or were deleted."""
    BEYOND_END = auto()
    """The log ends before it: it was cut back, or is another topic's."""


class PartitionStart(NamedTuple):
    """A partition that is about to be read.

    Attributes:
        commit: what the group has committed; None: nothing.
        begin: the first offset of the log.
        end: the offset after the last record of the log, also of transactions that are open: groups commit positions
            there, and what is written behind an open transaction was there before the group.
    """

    commit: Commit | None
    begin: int
    end: int

    @property
    def state(self) -> CommitState:
        """What the commit is worth."""
        if self.commit is None:
            return CommitState.ABSENT
        return CommitState.BEYOND_END if self.commit.position > self.end else CommitState.VALID

    @property
    def history_end(self) -> int | None:
        """Where the history ends; None if the group has read all of it."""
        if self.commit is None or self.state is CommitState.BEYOND_END:
            return self.end if self.end > self.begin else None
        end = history_end_of(self.commit.metadata)
        return end if end is not None and end > self.commit.position else None


UNKNOWN_START: Final = PartitionStart(None, 0, 0)
"""Of a partition about which Kafka did not answer."""


def start_without_leader(commit: Commit | None, *, history_counts: bool) -> PartitionStart | None:
    """Return how a partition starts whose log cannot be asked about, because no broker leads it.

    A commit is taken for a valid one: it was when it was made.

    Args:
        commit: what the group has committed.
        history_counts: whether records are marked. Then a group without a commit must know where the log ends.

    Returns:
        None if that is to be known and is not.
    """
    if commit is None:
        return None if history_counts else UNKNOWN_START
    return PartitionStart(commit, commit.position, max(commit.position, history_end_of(commit.metadata) or 0))


def history_text(end: int) -> str:
    """Return the commit metadata that says where the history ends."""
    return f"history:{end}"


def history_end_of(metadata: str) -> int | None:
    """Return what commit metadata says; None for metadata of another kind or another program."""
    found = _TEXT.fullmatch(metadata)
    return None if found is None else int(found[1])


def first_reads(starts: Mapping[TopicPartition, PartitionStart]) -> dict[CommitState, dict[TopicPartition, int]]:
    """Return the partitions that hold records and are read without a valid commit: how many offsets, by the reason."""
    found: dict[CommitState, dict[TopicPartition, int]] = {}
    for partition, start in starts.items():
        if start.state is not CommitState.VALID and start.end > start.begin:
            found.setdefault(start.state, {})[partition] = start.end - start.begin
    return found
