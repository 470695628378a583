"""Which offsets may be committed when records are settled in any order. Pure: no Kafka, no clock, no lock.

Per partition: the delivered offsets from the lowest unfinished one on, in order, and which of them are not done.
The commit position is the lowest unfinished offset, or the one after the last delivered offset if all are done.
Offsets have gaps (transactions, compaction), so the position steps over *delivered* offsets.

Each assignment of a partition has an epoch. A `done` from an earlier epoch is ignored: the record was given to
another owner, or comes again.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kallback.kafka.records import TopicPartition


class DoneResult(Enum):
    """The result of a `done`."""

    COUNTED = auto()
    UNKNOWN = auto()
    """Never delivered under this epoch, or done before."""
    STALE = auto()
    """The partition is not assigned, or was assigned anew since."""


class InHand(NamedTuple):
    """What a partition's position rests on; to look at, not to keep or change.

    Attributes:
        offsets: the delivered ones from the commit position on, in order.
        unfinished: those of them that are not done.
        ahead: the offset after the last delivered one.
    """

    offsets: Collection[int]
    unfinished: Collection[int]
    ahead: int


class _Partition:
    """One partition under one epoch."""

    __slots__ = ("committed", "delivered", "epoch", "next_offset", "unfinished")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.delivered: deque[int] = deque()
        self.unfinished: set[int] = set()
        self.next_offset: int | None = None
        self.committed: int | None = None

    @property
    def position(self) -> int | None:
        return self.delivered[0] if self.delivered else self.next_offset


class CommitTracker:
    """The partitions of one consumer. Not thread-safe: its owner guards it.

    Args:
        window: delivered records of a partition between the commit position and the newest one, at most.
        first_epoch: epochs begin above it. Consumers of one process must not share epochs: a record of a consumer that
            was replaced would be settled at its successor.
    """

    def __init__(self, window: int, *, first_epoch: int = 0) -> None:
        if window < 1:
            raise ValueError("a window holds at least one record")
        self._window = window
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._last_epoch = first_epoch

    def assign(self, partition: TopicPartition) -> int:
        """Begin a new epoch of a partition, whatever was known of it before; return the epoch."""
        self._last_epoch += 1
        self._partitions[partition] = _Partition(self._last_epoch)
        return self._last_epoch

    def revoke(self, partition: TopicPartition) -> None:
        """Forget a partition; what is settled later under its epoch is stale."""
        self._partitions.pop(partition, None)

    def epoch(self, partition: TopicPartition) -> int | None:
        """Return the current epoch, or None when the partition is not assigned."""
        state = self._partitions.get(partition)
        return None if state is None else state.epoch

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions that are assigned."""
        return frozenset(self._partitions)

    def position(self, partition: TopicPartition) -> int | None:
        """Return the commit position, or None when nothing was delivered under this epoch."""
        state = self._partitions.get(partition)
        return None if state is None else state.position

    def room(self, partition: TopicPartition) -> int:
        """Return how many more records of the partition may be delivered now."""
        state = self._partitions.get(partition)
        return 0 if state is None else self._window - len(state.delivered)

    def delivered(self, partition: TopicPartition, offset: int, next_offset: int | None = None) -> None:
        """Note that a record was handed out, which covers the offsets below `next_offset` (default: its own only).

        Offsets of one epoch ascend.
        """
        state = self._partitions[partition]
        if state.next_offset is not None and offset < state.next_offset:
            raise ValueError(f"{partition}@{offset} after {state.next_offset - 1}: offsets of an epoch ascend")
        if len(state.delivered) >= self._window:
            raise ValueError(f"the window of {partition} is full")
        if state.committed is None:
            state.committed = offset  # the group's own position, or before what it must read anyway
        state.delivered.append(offset)
        state.unfinished.add(offset)
        state.next_offset = next_offset or offset + 1

    def skipped(self, partition: TopicPartition, offset: int, next_offset: int | None = None) -> None:
        """Note that it was a record's turn, which an earlier owner has finished."""
        self.delivered(partition, offset, next_offset)
        self.done(partition, self._partitions[partition].epoch, offset)

    def reached(self, partition: TopicPartition, end: int) -> bool:
        """Note that nothing lies between the delivered records and `end`; return whether the position is there now.

        It is not while a delivered record is unfinished.
        """
        state = self._partitions[partition]
        if state.delivered:
            return False
        state.next_offset = end if state.next_offset is None else max(end, state.next_offset)
        if state.committed is None:
            state.committed = state.next_offset  # nothing was done here that a commit would tell
        return True

    def done(self, partition: TopicPartition, epoch: int, offset: int) -> DoneResult:
        """Note that a record's outcome is durable."""
        state = self._partitions.get(partition)
        if state is None or state.epoch != epoch:
            return DoneResult.STALE
        if offset not in state.unfinished:
            return DoneResult.UNKNOWN
        state.unfinished.remove(offset)
        while state.delivered and state.delivered[0] not in state.unfinished:
            state.delivered.popleft()
        return DoneResult.COUNTED

    def unfinished(self, partitions: Iterable[TopicPartition] | None = None) -> int:
        """Count the records that are delivered and not done, of some partitions or of all."""
        chosen = self._partitions if partitions is None else partitions
        return sum(len(self._partitions[each].unfinished) for each in chosen if each in self._partitions)

    def in_hand(self, partition: TopicPartition) -> InHand:
        """Return what lies between the position and the last delivered record of an assigned partition."""
        state = self._partitions[partition]
        return InHand(state.delivered, state.unfinished, state.next_offset or 0)

    def uncommitted(self) -> dict[TopicPartition, int]:
        """Return the commit positions that were not committed yet."""
        positions: dict[TopicPartition, int] = {}
        for partition, state in self._partitions.items():
            position = state.position
            if position is not None and state.committed is not None and position > state.committed:
                positions[partition] = position
        return positions

    def committed(self, positions: dict[TopicPartition, int]) -> None:
        """Note that positions were committed; those of partitions that are gone are ignored."""
        for partition, position in positions.items():
            state = self._partitions.get(partition)
            if state is not None and (state.committed is None or position > state.committed):
                state.committed = position
