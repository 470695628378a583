"""A record buffer that also reads and writes commit metadata; `commit_metadata.py` defines what the metadata says.

It is a class apart from `RecordBuffer`, so that consumers without commit metadata pay nothing for it. Before the feeder
assigns partitions, it loads what the group has committed for them. Records that an earlier owner has finished then
count as handed out and done as soon as it is their turn; every other record says how often it was started. All of this
happens under the lock of `RecordBuffer`. The metadata text is composed when a commit is due, not before.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import msgspec

from kallback.kafka.offsets.history_buffer import HistoryBuffer
from kallback.kafka.offsets.partition_metadata import NO_COMMIT, Commit, PartitionMetadata
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.records import Record, TopicPartition, size_of
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from kallback.kafka.consumer import ConsumerOptions
    from kallback.kafka.offsets.history import PartitionStart

log: Final = named_log("kallback.kafka")

_CONSUMERS: Final = itertools.count()
_DOUBTFUL_INTERVALS: Final = 5
"""Intervals of commits: what a dead process did within one takes longer where each start is committed."""
_EPOCH_BITS: Final = 32
"""Each consumer of the process has 2**32 epochs of its own, so that a record of one never counts at another."""


class MetadataBuffer(RecordBuffer):
    """A record buffer that reads and writes commit metadata."""

    def __init__(
        self,
        options: ConsumerOptions,
        wake: Callable[[], None],
        *,
        first_epoch: int = 0,
        monotonic: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__(options, wake, first_epoch=first_epoch)
        self._metadata: dict[TopicPartition, PartitionMetadata] = {}
        self._silent = False
        self._monotonic = monotonic
        self._doubt_s = options.commit_interval * _DOUBTFUL_INTERVALS

    def restore(self, starts: Mapping[TopicPartition, PartitionStart], /) -> None:
        """Begin with what the group has committed of partitions that will be assigned."""
        with self._lock:
            for each, at in starts.items():
                found = at.commit or NO_COMMIT
                self._metadata[each] = PartitionMetadata(
                    found, log_end=at.end, doubt_s=self._doubt_s, monotonic=self._monotonic
                )

    def restart(self, partition: TopicPartition, position: int = 0) -> int:
        """Begin a new epoch within an assignment, in which old metadata does not hold."""
        with self._lock:
            if partition in self._metadata:
                self._metadata[partition].restart()
        return super().restart(partition, position)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """End the epochs of partitions that are gone, and close their books."""
        gone = list(partitions)
        super().forget(gone)
        with self._lock:
            for partition in gone:
                self._metadata.pop(partition, None)

    def started(self, record: Record, /) -> None:
        """Count a record as begun in what is committed from now on, until it is done."""
        partition = TopicPartition(record.topic, record.partition)
        with self._lock:
            book = self._metadata.get(partition)
            if book is not None and self._tracker.epoch(partition) == record.epoch:
                book.started(record.offset)

    def must_commit_start(self, record: Record, /) -> bool:
        """Whether a commit of the start of a record is to be awaited before the work begins."""
        partition = TopicPartition(record.topic, record.partition)
        with self._lock:
            book = self._metadata.get(partition)
            if book is None or self._silent or self._tracker.epoch(partition) != record.epoch:
                return False
            return book.must_commit_starts()

    def commits(
        self, among: Collection[TopicPartition] | None = None, *, leaving: bool = False
    ) -> dict[TopicPartition, Commit]:
        """Return what is to be committed, because a position or its metadata has changed."""
        due = super().commits(among)
        with self._lock:
            for partition in self._metadata if among is None else among:
                commit = self._commit_of(partition, leaving=leaving)
                if commit is not None and (partition in due or commit.metadata != self._metadata[partition].metadata):
                    due[partition] = commit
        return due

    def committed(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Note what Kafka has acknowledged."""
        super().committed(commits)
        with self._lock:
            for partition, commit in commits.items():
                if partition in self._metadata:
                    self._metadata[partition].acknowledge(commit.metadata)

    def stop_metadata(self) -> None:
        """Commit bare positions from now on: the brokers allow no metadata of this size."""
        log.warning(
            "Kafka refuses commit metadata of this size (offset.metadata.max.bytes): it is left out from now on"
        )
        self._silent = True

    def _commit_of(self, partition: TopicPartition, *, leaving: bool) -> Commit | None:
        book, position = self._metadata.get(partition), self._tracker.position(partition)
        if book is None or position is None:
            return None
        if self._silent:
            return Commit(position)
        in_hand = self._tracker.in_hand(partition)
        return Commit(position, book.text(in_hand.offsets, in_hand.unfinished, ahead=in_hand.ahead, leaving=leaving))

    def _take_from(self, partition: TopicPartition, limit: int, taken: list[Record]) -> None:
        book = self._metadata.get(partition)
        if book is None:
            super()._take_from(partition, limit, taken)
            return
        buffer, full = self._partitions[partition], len(taken) + limit
        while buffer.records and len(taken) < full and self._room(partition) > 0:
            record = buffer.records.popleft()
            size = size_of(record)
            buffer.bytes -= size
            self._bytes -= size
            if record.epoch != self._tracker.epoch(partition):
                taken.append(record)
            elif book.is_done(record.offset):
                self._tracker.skipped(partition, record.offset, record.next_offset)
                self.taken.set()
            else:
                self._tracker.delivered(partition, record.offset, record.next_offset)
                buffer.limit.add(size)
                taken.append(_counted(record, book.deliveries(record.offset)))


def _counted(record: Record, deliveries: int) -> Record:
    return record if deliveries == 1 else msgspec.structs.replace(record, deliveries=deliveries)


def new_record_buffer(
    options: ConsumerOptions, wake: Callable[[], None], monotonic: Callable[[], float]
) -> RecordBuffer:
    """Return a record buffer that keeps in commit metadata what the options say."""
    first_epoch = next(_CONSUMERS) << _EPOCH_BITS
    if options.commit_metadata:
        return MetadataBuffer(options, wake, first_epoch=first_epoch, monotonic=monotonic)
    kind = HistoryBuffer if options.mark_history else RecordBuffer
    return kind(options, wake, first_epoch=first_epoch)
