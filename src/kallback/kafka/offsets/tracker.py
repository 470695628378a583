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
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kallback.kafka.records import TopicPartition

_NOTHING: Final = -1  # below every position, so that the first one is committed


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


class KnownCommit(NamedTuple):
    """What Kafka last said about a commit of an epoch; None: nothing yet."""

    epoch: int
    offset: int | None


class _Partition:
    """One partition under one epoch."""

    __slots__ = ("committed", "delivered", "epoch", "known", "next_offset", "unfinished")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.delivered: deque[int] = deque()
        self.unfinished: set[int] = set()
        self.next_offset: int | None = None
        self.committed: int | None = None
        self.known: int | None = None  # what Kafka holds: it has acknowledged it, or named it when it was asked

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

    def restart(self, partition: TopicPartition, position: int) -> int:
        """Begin a new epoch at a position that is to be committed, whatever is committed: old offsets mean nothing."""
        epoch = self.assign(partition)
        state = self._partitions[partition]
        state.next_offset, state.committed = position, _NOTHING
        return epoch

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

    def finished(self, partition: TopicPartition) -> int:
        """Count the records that are done and lie above the commit position, because an earlier one is not done."""
        state = self._partitions.get(partition)
        return 0 if state is None else len(state.delivered) - len(state.unfinished)

    def is_unfinished(self, partition: TopicPartition, epoch: int, offset: int) -> bool:
        """Return whether a record was delivered under this epoch and is not done."""
        state = self._partitions.get(partition)
        return state is not None and state.epoch == epoch and offset in state.unfinished

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
        """Note that positions were committed.

        Those of partitions that are gone are ignored, and those beyond the present position: they are of an earlier
        epoch, and were acknowledged late.
        """
        for partition, position in positions.items():
            state = self._partitions.get(partition)
            if state is None or state.position is None or position > state.position:
                continue
            if state.committed is None or position > state.committed:
                state.committed = position
            state.known = position

    def known_commits(self) -> dict[TopicPartition, KnownCommit]:
        """Return what Kafka holds as far as known; to be taken before it is asked."""
        return {each: KnownCommit(state.epoch, state.known) for each, state in self._partitions.items()}

    def undone_commits(
        self, before: Mapping[TopicPartition, KnownCommit], found: Mapping[TopicPartition, int | None]
    ) -> dict[TopicPartition, int]:
        """Compare what Kafka held with what it says it holds; what is gone or lower is to be committed again.

        Args:
            before: what was known when it was asked.
            found: what it says; None for nothing.

        Returns:
            the positions that are lost.
        """
        undone: dict[TopicPartition, int] = {}
        for partition, offset in found.items():
            state = self._partitions.get(partition)
            if state is None or before.get(partition) != KnownCommit(state.epoch, state.known):
                continue  # assigned or committed since
            if state.known is not None and (offset is None or offset < state.known):
                undone[partition] = state.known
                state.committed, state.known = _NOTHING, None
            else:
                state.known = offset
        return undone
