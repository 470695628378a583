"""Where the partitions of a group member are read on, and what it means that an unexpected offset comes next.

An offset that is too low: the log was truncated, or is another topic's, so a new epoch begins. One that is too high: a
gap, which is normal (transaction markers, compaction) unless Kafka deleted what was in it. One thread at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kallback.kafka.offsets.deleted_records import DeletedRecords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kallback.kafka.offsets.record_buffer import RecordBuffer
    from kallback.kafka.records import TopicPartition


class ReadPositions:
    """The owned partitions of one consumer.

    Args:
        buffer: in which new epochs begin.

    Attributes:
        next: epoch and next offset of each owned partition; the offset is 0 before anything was read, an end included.
        deleted: finds what Kafka deleted before it was read.
        began: the offset that reading began at, of assignments that nobody has compared with what was committed yet.
        went_back: partitions whose offsets went back, until somebody has found out why.
    """

    def __init__(self, buffer: RecordBuffer) -> None:
        self.next: dict[TopicPartition, tuple[int, int]] = {}
        self.deleted = DeletedRecords()
        self.began: dict[TopicPartition, int] = {}
        self.went_back: set[TopicPartition] = set()
        self._buffer = buffer

    def assign(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Begin to read partitions."""
        self.next.update({partition: (epoch, 0) for partition, epoch in epochs.items()})

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """End reading partitions."""
        gone = list(partitions)
        self.deleted.forget(gone)
        for partition in gone:
            self.next.pop(partition, None)
            self.began.pop(partition, None)

    def moved_to(self, partition: TopicPartition, offset: int) -> int:
        """Note that reading has come to an offset; return the epoch in which it counts."""
        epoch, expected = self.next[partition]
        if offset < expected:
            self.went_back.add(partition)
            return self.restart(partition, offset)
        if expected == 0:
            self.began.setdefault(partition, offset)
        elif offset > expected:
            self.deleted.skipped(partition, expected, offset)
        return epoch

    def reached(self, end_offsets: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Note epochs and offsets to which was read without a further record.

        Of an assignment that begins at the end of its partition, these are all that is known: offsets below them are of
        another log.
        """
        for partition, (epoch, end) in end_offsets.items():
            known = self.next.get(partition)
            if known is not None and known[0] == epoch and known[1] < end:
                self.next[partition] = (epoch, end)

    def restart(self, partition: TopicPartition, offset: int = 0) -> int:
        """Begin a new epoch: the log that the offsets of the former one belong to does not exist any more."""
        epoch = self._buffer.restart(partition, offset)
        self.next[partition] = (epoch, offset)
        self.began.pop(partition, None)
        self.deleted.forget([partition])
        return epoch
