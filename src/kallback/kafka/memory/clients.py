"""Producer and consumer on a broker in memory, for tests without a server.

They pass the conformance suite of the real clients: partitions, groups, cooperative rebalance with drain, commits,
redelivery. There are no timeouts but the drain's, no timer commits, no retention.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec

from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.errors import missing_topic
from kallback.kafka.group_status import GroupStatus
from kallback.kafka.memory.broker import MemoryBroker
from kallback.kafka.offsets.followed_topics import report_first_reads
from kallback.kafka.offsets.history import CommitState, PartitionStart
from kallback.kafka.offsets.metadata_buffer import new_record_buffer
from kallback.kafka.records import OutgoingRecord, Position, Record, Screen, TopicPartition
from kallback.lifecycle import StartStop, Supervisor
from kallback.protocol.errors import KafkaUnavailableError
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence


log: Final = named_log("kallback.kafka")


class MemoryProducer(StartStop):
    """A `Producer` that writes to a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._stopped = False

    async def start(self) -> None:
        """Do nothing: the broker is here."""
        if not self._broker.available:
            raise KafkaUnavailableError("the broker in memory is switched off")

    async def stop(self) -> None:
        """Refuse further sends."""
        self._stopped = True

    async def send(self, record: OutgoingRecord) -> Position:
        """Write one record."""
        if self._stopped:
            raise KafkaUnavailableError("this producer is stopped; make a new one")
        position = self._broker.append(record)
        await asyncio.sleep(0)
        return position


class MemoryConsumer(StartStop):
    """A `Consumer` that reads from a `MemoryBroker`."""

    def __init__(
        self, broker: MemoryBroker, topics: Sequence[str], group: str, *, options: ConsumerOptions | None = None
    ) -> None:
        self._broker = broker
        self._topics = tuple(topics)
        self._group_name = group
        self._group = broker.group(group)
        self._options = options or ConsumerOptions()
        self._arrived = asyncio.Event()
        self._buffer = new_record_buffer(self._options, self._arrived.set, time.monotonic)
        self._next: dict[TopicPartition, tuple[int, int]] = {}
        self._supervisor = Supervisor("kallback-consumer", self._ended_unexpectedly, log)
        self._rebalance: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._stopped = False

    async def start(self) -> None:
        """Check the topics, join the group."""
        if self._stopped:
            raise KafkaUnavailableError("this consumer is stopped; make a new one")
        if not self._broker.available:
            raise KafkaUnavailableError("the broker in memory is switched off")
        for topic in self._topics:
            if not self._broker.partitions(topic):
                raise missing_topic(topic)
        if self not in self._group.members:
            self._group.members.append(self)
            self._broker.listen(self._arrived)
            self._rebalance = self._supervisor.run_once("rebalance", self._group.rebalance())

    async def fetch(self, limit: int, timeout: float) -> list[Record]:  # noqa: ASYNC109 - a poll's patience
        """Hand out the next records."""
        if self not in self._group.members:
            raise KafkaUnavailableError("this consumer is not running; start one first")
        try:
            async with asyncio.timeout(timeout):
                while True:
                    self._arrived.clear()
                    if self._failure is not None:
                        raise self._failure
                    found = self._read(limit)
                    if records := self._buffer.take(limit):
                        return records
                    if not found:  # otherwise all of it was done by an earlier owner: read on
                        await self._arrived.wait()
        except TimeoutError:
            return []

    def started(self, record: Record) -> None:
        """Count a record as started; on the broker's loop only."""
        self._buffer.started(record)

    def must_commit_start(self, record: Record) -> bool:
        """Whether the start of a record is to be committed before the work begins; on the broker's loop only."""
        return self._buffer.must_commit_start(record)

    def set_aside(self, records: Sequence[Record]) -> None:
        """Hold only the positions of records; on the broker's loop only."""
        self._buffer.set_aside(records)

    def on_revoke(self, then: Callable[[frozenset[TopicPartition]], None]) -> None:
        """Have partitions told before they are taken away."""
        self._buffer.on_revoke = then

    def screen(self, screen: Screen) -> None:
        """Have each record screened as it is read."""
        self._buffer.screen = screen

    def release(self, record: Record) -> None:
        """Let no rebalance wait for a record."""
        self._buffer.release(record)

    def done(self, record: Record) -> None:
        """Settle a record; on the broker's loop only."""
        self._buffer.done(record)

    async def commit(self) -> None:
        """Commit what is done."""
        self._commit(leaving=False)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns now."""
        return self._buffer.assignment()

    def unfinished(self) -> int:
        """The number of records that are handed out and not done."""
        return self._buffer.unfinished()

    def group_status(self) -> GroupStatus:
        """The status of this member; in memory everything is known."""
        end_offsets = {each: self._broker.end(each) for each in self._next}
        begins = {each: offset for each, (_epoch, offset) in self._next.items()}
        return self._buffer.group_status(end_offsets, time.monotonic(), begins)

    async def stop(self) -> None:
        """Commit and leave the group."""
        if not self._stopped:
            self._commit(leaving=True)
        await self.crash()

    async def crash(self) -> None:
        """Leave the group without committing, as a process does that is killed."""
        self._stopped = True
        if self._rebalance is not None:
            await asyncio.wait([self._rebalance], timeout=2 * self._options.drain_timeout)
        if self in self._group.members:
            self._group.members.remove(self)
            self._broker.unlisten(self._arrived)
            self._buffer.forget(list(self._next))
            self._next.clear()
            self._buffer.joined = False
            await self._group.rebalance()

    def _ended_unexpectedly(self, error: Exception) -> None:
        self._failure = error
        self._arrived.set()

    # The group's side.

    def wanted(self) -> list[TopicPartition]:
        """Return the partitions of the subscribed topics."""
        return [partition for topic in self._topics for partition in self._broker.partitions(topic)]

    async def give_up(self, partitions: Iterable[TopicPartition]) -> None:
        """Drain, commit and forget partitions."""
        going = list(partitions)
        self._buffer.stop_handing_out(going)
        drained = asyncio.Event()
        self._buffer.when_drained(going, drained.set)
        try:
            async with asyncio.timeout(self._options.drain_timeout):
                await drained.wait()
        except TimeoutError:
            pass  # what is unfinished goes to the next owner
        self._commit(going, leaving=True)
        self._buffer.forget(going)
        for partition in going:
            self._next.pop(partition, None)

    def receive(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin to read partitions at the group's commit position; where the log ends before it, at the beginning."""
        share = list(partitions)
        commits = self._group.commits
        starts = {
            each: PartitionStart(commits.get(each), 0, self._broker.end(each), self._broker.recent_begin(each))
            for each in share
        }
        self._buffer.restore(starts)
        report_first_reads(self._group_name, starts)
        for partition, epoch in self._buffer.assign(share).items():
            commit = None if starts[partition].state is CommitState.BEYOND_END else starts[partition].commit
            self._next[partition] = (epoch, starts[partition].begin if commit is None else commit.position)
        self._arrived.set()

    def _commit(self, among: Collection[TopicPartition] | None = None, *, leaving: bool) -> None:
        commits = self._buffer.commits(among, leaving=leaving)
        self._group.commits.update(commits)
        self._buffer.committed(commits)

    def _read(self, limit: int) -> bool:
        found = False
        for partition in self._buffer.needing_records():
            epoch, offset = self._next[partition]
            records = [
                msgspec.structs.replace(each, epoch=epoch) for each in self._broker.read(partition, offset, limit)
            ]
            if records:
                found = True
                self._next[partition] = (epoch, records[-1].next_offset)
                self._buffer.put(partition, records)
        return found
