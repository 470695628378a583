"""Records between a client and the caller of `fetch`: buffered per partition, handed out, done.

One lock guards the buffered records, the tracker and the positions; it is never held across a wait or a call into a
client. The *feeder* (the client's consumer thread, or the event loop) assigns, revokes and puts. The event loop takes.
Any thread may call `done`. `wake` is called outside the lock when a waiting `take` would find something, at most once
until the next `take`.

Revoking has two steps, so that the feeder can wait in between: `stop_handing_out`, then `forget`.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from kallback.kafka.group_status import GroupStatus, PartitionStatus
from kallback.kafka.header_bounds import bounded
from kallback.kafka.offsets.partition_buffer import PartitionBuffer, UnfinishedLimit
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.offsets.refused_runs import folded
from kallback.kafka.offsets.tracker import CommitTracker, DoneResult
from kallback.kafka.records import Record, Screen, TopicPartition, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from kallback.kafka.consumer import ConsumerOptions
    from kallback.kafka.offsets.history import PartitionStart
    from kallback.kafka.offsets.tracker import KnownCommit


class RecordBuffer:
    """The buffered records of one consumer, and what is done of those that were handed out.

    Args:
        wake: called when a waiting `take` would find something.
        first_epoch: see `CommitTracker`.
    """

    def __init__(self, options: ConsumerOptions, wake: Callable[[], None], *, first_epoch: int = 0) -> None:
        self._options = options
        self._wake = wake
        self._lock = threading.Lock()
        self._tracker = CommitTracker(options.window, first_epoch=first_epoch)
        self._partitions: dict[TopicPartition, PartitionBuffer] = {}
        self._bytes = 0  # buffered, of all partitions together
        self._turns: deque[TopicPartition] = deque()
        self._woken = False
        self._rebalances = 0
        self.joined = False
        """Whether the group has assigned partitions; set back when it takes all of them away."""
        self.on_revoke: Callable[[frozenset[TopicPartition]], None] = _ignore
        """Called outside the lock, from the feeder, with partitions that will be revoked, before the drain."""
        self.taken = threading.Event()
        """Set by each `take` that took something: the feeder may deliver more. The feeder clears it."""
        self.screen: Screen | None = None
        """Called outside the lock, from the feeder, with each record that is put."""
        self._drains: list[tuple[frozenset[TopicPartition], Callable[[], None]]] = []

    # The feeder's side.

    def assign(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Begin new epochs; return them."""
        with self._lock:
            self.joined = True
            self._rebalances += 1
            for partition in partitions:
                self._discard(partition)
                self._partitions[partition] = PartitionBuffer(self._new_limit())
            self._turns = deque(self._partitions)
            return {partition: self._tracker.assign(partition) for partition in partitions}

    def restart(self, partition: TopicPartition, position: int = 0) -> int:
        """Begin a new epoch within an assignment: the topic was truncated or created anew, `position` comes next.

        What is buffered of the old epoch is still handed out, but no longer counts.
        """
        with self._lock:
            if partition in self._partitions:
                self._partitions[partition].limit = self._new_limit()
                self._partitions[partition].aside.clear()
                self._partitions[partition].released.clear()
                self._partitions[partition].end = None
            return self._tracker.restart(partition, position)

    def stop_handing_out(self, partitions: Iterable[TopicPartition]) -> None:
        """Drop what is buffered of partitions that will be revoked; the next owner reads it again."""
        going = frozenset(partitions)
        with self._lock:
            for partition in going:
                buffer = self._partitions.get(partition)
                if buffer is not None:
                    buffer.end = None if buffer.records else buffer.end  # what is dropped here was not handed out
                    self._discard(partition)
                    buffer.revoking = True
        self.on_revoke(going)

    def when_drained(self, partitions: Iterable[TopicPartition], then: Callable[[], None]) -> None:
        """Call `then` once, when the partitions have no unfinished record; at once if they have none."""
        wanted = frozenset(partitions)
        with self._lock:
            if self._is_waited_for(wanted):
                self._drains.append((wanted, then))
                return
        then()

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """End the epochs of partitions that are gone."""
        with self._lock:
            for partition in partitions:
                self._discard(partition)
                self._partitions.pop(partition, None)
                self._tracker.revoke(partition)
            self._turns = deque(self._partitions)
            self._drains = [drain for drain in self._drains if self._is_waited_for(drain[0])]

    def put(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """Buffer records, in order, until they are taken; those of a partition that is being revoked are dropped."""
        self.add(partition, records)
        self.announce((partition,))

    def add(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """Do so without a word to the caller of `take`, because more is added at once; `announce` follows."""
        records = bounded(records)
        if self.screen is not None:
            records = folded(records, self.screen)
        with self._lock:
            buffer = self._partitions.get(partition)
            if buffer is not None and records and not buffer.revoking:
                self._bytes += buffer.append(records)

    def announce(self, partitions: Iterable[TopicPartition]) -> None:
        """Wake the caller of `take` if it may take something of these partitions."""
        with self._lock:
            wake = any(self._should_wake(each) for each in partitions)
        if wake:
            self._wake()

    def ended(self, end_offsets: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Note epoch and offset of ends that the client has come to; all records before them must be put already."""
        with self._lock:
            for partition, (epoch, end) in end_offsets.items():
                buffer = self._partitions.get(partition)
                if buffer is not None and not buffer.revoking and self._tracker.epoch(partition) == epoch:
                    buffer.end = end

    def is_full(self, partition: TopicPartition) -> bool:
        """Whether the client should stop delivering the partition: its buffer is full, or all buffers together are.

        An empty buffer is never full: one large partition does not stop the others.
        """
        buffer = self._partitions.get(partition)
        if buffer is None or not buffer.records:
            return False
        return (
            len(buffer.records) >= self._options.buffer_records
            or buffer.bytes >= self._options.buffer_bytes
            or self._bytes >= self._options.buffer_bytes_total
        )

    @property
    def bytes_free(self) -> int:
        """Bytes until all buffers together are full; 0 when they are."""
        return max(0, self._options.buffer_bytes_total - self._bytes)

    def is_low(self, partition: TopicPartition) -> bool:
        """Whether the client should deliver the partition again: half of its buffer, and of all buffers, is free."""
        buffer = self._partitions.get(partition)
        if buffer is None or not buffer.records:
            return True
        return (
            len(buffer.records) <= self._options.buffer_records // 2
            and buffer.bytes <= self._options.buffer_bytes // 2
            and self._bytes <= self._options.buffer_bytes_total // 2
        )

    def needing_records(self) -> list[TopicPartition]:
        """Return the partitions whose buffer is empty and of which records may be handed out."""
        with self._lock:
            return [
                partition
                for partition, buffer in self._partitions.items()
                if not buffer.records and not buffer.revoking and self._room(partition) > 0
            ]

    def is_empty(self) -> bool:
        """Whether no record is buffered, and none is handed out and not done."""
        with self._lock:
            return not self._tracker.unfinished() and not any(each.records for each in self._partitions.values())

    def restore(self, _starts: Mapping[TopicPartition, PartitionStart], /) -> None:
        """Begin with how partitions start that will be assigned; needs commit metadata, or marks of the history."""

    def commits(
        self, among: Collection[TopicPartition] | None = None, *, leaving: bool = False
    ) -> dict[TopicPartition, Commit]:
        """Return what is to be committed, of some partitions or of all; `leaving` them matters to commit metadata."""
        del leaving
        with self._lock:
            self._advance_to_end()
            positions = self._tracker.uncommitted()
        return {each: Commit(at) for each, at in positions.items() if among is None or each in among}

    def committed(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Note what Kafka has acknowledged."""
        with self._lock:
            self._tracker.committed({partition: commit.position for partition, commit in commits.items()})

    def known_commits(self) -> dict[TopicPartition, KnownCommit]:
        """Return what Kafka holds as far as known; to be taken before it is asked."""
        with self._lock:
            return self._tracker.known_commits()

    def undone_commits(
        self, before: Mapping[TopicPartition, KnownCommit], found: Mapping[TopicPartition, int | None]
    ) -> dict[TopicPartition, int]:
        """Return the committed positions that are lost, see `CommitTracker`; they are committed again."""
        with self._lock:
            return self._tracker.undone_commits(before, found)

    def stop_metadata(self) -> None:
        """Commit positions only from now on, as is done anyway without commit metadata."""

    # The caller's side.

    def take(self, limit: int) -> list[Record]:
        """Hand out at most `limit` records, partitions taking turns; never waits."""
        taken: list[Record] = []
        with self._lock:
            self._woken = False
            for _ in range(len(self._turns)):
                partition = self._turns[0]
                self._turns.rotate(-1)
                self._take_from(partition, limit - len(taken), taken)
                if len(taken) >= limit:
                    break
        if taken:
            self.taken.set()
        return taken

    def started(self, _record: Record, /) -> None:
        """Count a record as started; needs commit metadata."""

    def must_commit_start(self, _record: Record, /) -> bool:
        """Whether the start of a record is to be committed before the work begins; needs commit metadata."""
        return False

    def set_aside(self, records: Sequence[Record]) -> None:
        """Hold only the positions of unfinished records: the limits of unfinished records count them no longer."""
        sizes = list(map(size_of, records))
        with self._lock:
            was_full = {each for each in self._partitions if self._room(each) == 0}
            for record, size in zip(records, sizes, strict=True):
                partition = TopicPartition(record.topic, record.partition)
                if self._tracker.is_unfinished(partition, record.epoch, record.offset):
                    self._partitions[partition].set_aside(record.offset, size)
            wake = [each for each in was_full if self._should_wake(each)]
        if wake:
            self._wake()

    def release(self, record: Record) -> None:
        """Let no drain wait for an unfinished record."""
        partition = TopicPartition(record.topic, record.partition)
        drained: list[Callable[[], None]] = []
        with self._lock:
            if self._tracker.is_unfinished(partition, record.epoch, record.offset):
                self._partitions[partition].released.add(record.offset)
                drained = self._take_drained()
        for then in drained:
            then()

    def done(self, record: Record) -> DoneResult:
        """Settle one record; stale and unknown ones change nothing."""
        partition = TopicPartition(record.topic, record.partition)
        drained: list[Callable[[], None]] = []
        with self._lock:
            was_full = not self._woken and self._room(partition) == 0  # asked only where the answer matters
            result = self._tracker.done(partition, record.epoch, record.offset)
            if result is DoneResult.COUNTED:
                self._partitions[partition].settled(record)
            wake = was_full and result is DoneResult.COUNTED and self._should_wake(partition)
            if self._drains:
                drained = self._take_drained()
        if wake:
            self._wake()
        for then in drained:
            then()
        return result

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions that are assigned."""
        with self._lock:
            return self._tracker.assignment()

    def unfinished(self) -> int:
        """Count what is handed out and not done."""
        with self._lock:
            return self._tracker.unfinished()

    def group_status(
        self,
        end_offsets: Mapping[TopicPartition, int],
        last_poll: float,
        begins: Mapping[TopicPartition, int] | None = None,
        stalled: frozenset[TopicPartition] = frozenset(),
    ) -> GroupStatus:
        """Return the status of the member.

        Args:
            end_offsets: where partitions end, as far as known.
            last_poll: when the client was last seen to make progress.
            begins: where it reads on, for partitions of which nothing was handed out yet; as far as known.
            stalled: partitions that are not read though they should be.
        """
        begins = begins or {}
        with self._lock:
            self._advance_to_end()
            partitions = {
                each: self._partition_status(each, buffer, end_offsets.get(each), begins.get(each))
                for each, buffer in self._partitions.items()
            }
            return GroupStatus(self.joined, self._rebalances, last_poll, partitions, stalled & partitions.keys())

    def _partition_status(
        self, partition: TopicPartition, buffer: PartitionBuffer, end: int | None, begin: int | None
    ) -> PartitionStatus:
        position = self._tracker.position(partition)
        if buffer.records:
            end = max(end or 0, buffer.records[-1].next_offset)
            begin = buffer.records[0].offset
        used = self._options.window - self._tracker.room(partition)
        finished = self._tracker.finished(partition)
        return PartitionStatus(begin if position is None else position, end, used, self._options.window, finished)

    def _advance_to_end(self) -> None:
        for partition, buffer in self._partitions.items():
            if buffer.end is not None and not buffer.records and self._tracker.reached(partition, buffer.end):
                buffer.end = None

    def _take_from(self, partition: TopicPartition, limit: int, taken: list[Record]) -> None:
        buffer = self._partitions[partition]
        epoch = self._tracker.epoch(partition)
        for _ in range(min(limit, len(buffer.records), self._room(partition))):
            record = buffer.records.popleft()
            size = size_of(record)
            buffer.bytes -= size
            self._bytes -= size
            taken.append(record)
            if record.epoch == epoch:
                self._tracker.delivered(partition, record.offset, record.next_offset)
                buffer.limit.add(size)
                if buffer.limit.room == 0:
                    return

    def _room(self, partition: TopicPartition) -> int:
        """How many more records may be handed out, by the window and the limit."""
        buffer = self._partitions.get(partition)
        return 0 if buffer is None else min(self._tracker.room(partition), buffer.limit.room)

    def _new_limit(self) -> UnfinishedLimit:
        return UnfinishedLimit(self._options.unfinished_records, self._options.unfinished_bytes)

    def _discard(self, partition: TopicPartition) -> None:
        """Drop what is buffered of a partition."""
        buffer = self._partitions.get(partition)
        if buffer is not None:
            self._bytes -= buffer.bytes
            buffer.records.clear()
            buffer.bytes = 0

    def _should_wake(self, partition: TopicPartition) -> bool:
        if self._woken or self._room(partition) == 0:
            return False
        self._woken = True
        return True

    def _take_drained(self) -> list[Callable[[], None]]:
        over = [then for partitions, then in self._drains if not self._is_waited_for(partitions)]
        self._drains = [drain for drain in self._drains if self._is_waited_for(drain[0])]
        return over

    def _is_waited_for(self, partitions: frozenset[TopicPartition]) -> bool:
        """Whether a drain of these partitions waits for a record."""
        released = sum(len(self._partitions[each].released) for each in partitions if each in self._partitions)
        return self._tracker.unfinished(partitions) > released


def _ignore(_partitions: frozenset[TopicPartition]) -> None:
    pass
