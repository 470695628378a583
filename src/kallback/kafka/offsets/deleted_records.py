"""Finds records that Kafka deleted before they were read (retention, DeleteRecords). Pure.

A client whose position lies below the first offset of the log goes on at that offset, and says nothing. Gaps between
offsets are normal, too (transaction markers, compaction): a gap counts only if the log begins behind its start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kallback.kafka.records import TopicPartition


class OffsetGap(NamedTuple):
    """Offsets that were not read: from `first` on, `end` is the next one that was."""

    first: int
    end: int


class DeletedRecords:
    """The widest gap of each partition since the last question. One thread at a time."""

    def __init__(self) -> None:
        self._gaps: dict[TopicPartition, OffsetGap] = {}

    @property
    def unexplained(self) -> list[TopicPartition]:
        """The partitions whose first offsets are needed."""
        return list(self._gaps)

    def skipped(self, partition: TopicPartition, expected: int, offset: int) -> None:
        """Note that reading went on at `offset` in place of `expected`."""
        known = self._gaps.get(partition)
        if offset > expected and (known is None or known.end - known.first < offset - expected):
            self._gaps[partition] = OffsetGap(expected, offset)

    def found(self, begins: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetGap]:
        """Return what was deleted unread, by what the logs begin with; those gaps are not asked about again."""
        deleted: dict[TopicPartition, OffsetGap] = {}
        for partition, begin in begins.items():
            gap = self._gaps.pop(partition, None)
            if gap is not None and begin > gap.first:
                deleted[partition] = OffsetGap(gap.first, min(begin, gap.end))
        return deleted

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions that are read no more, or from other records."""
        for partition in partitions:
            self._gaps.pop(partition, None)
