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

from kallback.kafka.offsets.partition_metadata import ANY_END, Commit
from kallback.kafka.records import TopicPartition

RECENT_S: Final = 3600.0
"""Kafka keeps the commits of a group without members for days (`offsets.retention.minutes`): those of a topic whose
records are all younger than an hour have not expired."""
_TEXT: Final = re.compile(r"history:([0-9]{1,18})", re.ASCII)


class CommitState(Enum):
    """What a group's commit of a partition is worth."""

    VALID = auto()
    """Reading goes on there, or at the beginning of a log that begins later."""
    ABSENT = auto()
    """The group has committed nothing: it is new, or its offsets expired or were deleted."""
    BEYOND_END = auto()
    """The log ends before it: it was cut back, or is another topic's."""


class FirstRead(Enum):
    """Why a group reads a partition from its beginning."""

    NEW_TOPIC = auto()
    """It is new, and so is all that the topic ever had: nothing was deleted, and no commit can have expired."""
    NO_COMMIT = auto()
    """It has no commit. Records may be read a second time, and earlier ones may have been deleted unread."""
    BEYOND_END = auto()
    """Its commit lies beyond the end of the log."""


class PartitionStart(NamedTuple):
    """A partition that is about to be read.

    Attributes:
        commit: what the group has committed; None: nothing.
        begin: the first offset of the log.
        end: the offset after the last record of the log, also of transactions that are open: groups commit positions
            there, and what is written behind an open transaction was there before the group. Commit metadata says
            nothing of later records. `ANY_END` if it is not known.
        recent_begin: the first record that was written in the last `RECENT_S`; None: there is none, or it is not known.
    """

    commit: Commit | None
    begin: int
    end: int
    recent_begin: int | None = None

    @property
    def state(self) -> CommitState:
        """What the commit is worth."""
        if self.commit is None:
            return CommitState.ABSENT
        return CommitState.BEYOND_END if self.commit.position > self.end else CommitState.VALID

    @property
    def first_read(self) -> FirstRead | None:
        """Why records are read from the beginning of the log; None if they are not."""
        if self.state is CommitState.VALID or self.end == self.begin:
            return None
        if self.state is CommitState.BEYOND_END:
            return FirstRead.BEYOND_END
        return FirstRead.NEW_TOPIC if self.begin == self.recent_begin == 0 else FirstRead.NO_COMMIT

    @property
    def history_end(self) -> int | None:
        """Where the history ends; None if the group has read all of it."""
        if self.commit is None or self.state is CommitState.BEYOND_END:
            return self.end if self.end > self.begin else None
        end = history_end_of(self.commit.metadata)
        return min(end, self.end) if end is not None and min(end, self.end) > self.commit.position else None


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
    return PartitionStart(commit, commit.position, ANY_END)


def history_text(end: int) -> str:
    """Return the commit metadata that says where the history ends."""
    return f"history:{end}"


def history_end_of(metadata: str) -> int | None:
    """Return what commit metadata says; None for metadata of another kind or another program."""
    found = _TEXT.fullmatch(metadata)
    return None if found is None else int(found[1])


def first_reads(starts: Mapping[TopicPartition, PartitionStart]) -> dict[FirstRead, dict[TopicPartition, int]]:
    """Return the partitions that hold records and are read without a valid commit: how many offsets, by the reason."""
    found: dict[FirstRead, dict[TopicPartition, int]] = {}
    for partition, start in starts.items():
        if (reason := start.first_read) is not None:
            found.setdefault(reason, {})[partition] = start.end - start.begin
    return found
