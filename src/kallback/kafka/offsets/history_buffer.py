"""A record buffer that marks the history of its partitions; `history.py` defines what that is.

It is a class apart from `RecordBuffer`, so that consumers that do not ask for it pay nothing. Before the feeder assigns
partitions, it says how they start. All of this happens under the lock of `RecordBuffer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from kallback.kafka.offsets.history import CommitState, PartitionStart, history_text
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.kafka.records import Record, TopicPartition
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from kallback.kafka.consumer import ConsumerOptions

log: Final = named_log("kallback.kafka")


class HistoryBuffer(RecordBuffer):
    """A record buffer that marks records of the history, and commits where the history ends."""

    def __init__(self, options: ConsumerOptions, wake: Callable[[], None], *, first_epoch: int = 0) -> None:
        super().__init__(options, wake, first_epoch=first_epoch)
        self._history_end: dict[TopicPartition, int] = {}
        self._claims: dict[TopicPartition, int] = {}
        self._silent = False

    def restore(self, starts: Mapping[TopicPartition, PartitionStart], /) -> None:
        """Begin with how partitions start that will be assigned."""
        with self._lock:
            for partition, start in starts.items():
                self._history_end.pop(partition, None)
                if start.history_end is not None:
                    self._history_end[partition] = start.history_end
                if start.state is not CommitState.VALID:
                    self._claims[partition] = start.begin

    def assign(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Begin new epochs; the beginning of a partition without a valid commit is committed at once."""
        epochs = super().assign(partitions)
        with self._lock:
            claims, self._claims = self._claims, {}
            for partition in claims.keys() & epochs.keys():
                epochs[partition] = self._tracker.restart(partition, claims[partition])
        return epochs

    def restart(self, partition: TopicPartition, position: int = 0) -> int:
        """Begin a new epoch within an assignment: the records of another log are no history."""
        with self._lock:
            self._history_end.pop(partition, None)
        return super().restart(partition, position)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """End the epochs of partitions that are gone."""
        gone = list(partitions)
        super().forget(gone)
        with self._lock:
            for partition in gone:
                self._history_end.pop(partition, None)

    def commits(
        self, among: Collection[TopicPartition] | None = None, *, leaving: bool = False
    ) -> dict[TopicPartition, Commit]:
        """Return what is to be committed, with the end of a history that is not read yet."""
        due = super().commits(among, leaving=leaving)
        with self._lock:
            return {partition: self._with_history(partition, commit) for partition, commit in due.items()}

    def stop_metadata(self) -> None:
        """Commit bare positions from now on: the brokers allow no metadata of this size."""
        log.warning(
            "Kafka refuses commit metadata (offset.metadata.max.bytes): after a crash, history counts as new records"
        )
        self._silent = True

    def _with_history(self, partition: TopicPartition, commit: Commit) -> Commit:
        end = self._history_end.get(partition)
        if end is None or self._silent:
            return commit
        if commit.position >= end:
            del self._history_end[partition]
            return commit
        return Commit(commit.position, history_text(end))

    def _take_from(self, partition: TopicPartition, limit: int, taken: list[Record]) -> None:
        before = len(taken)
        super()._take_from(partition, limit, taken)
        end = self._history_end.get(partition)
        if end is not None:
            epoch = self._tracker.epoch(partition)
            taken[before:] = [_marked(each, end) if each.epoch == epoch else each for each in taken[before:]]


def _marked(record: Record, end: int) -> Record:
    return msgspec.structs.replace(record, history=True) if record.offset < end else record
