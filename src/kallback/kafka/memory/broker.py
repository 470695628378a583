"""The broker in memory: logs of partitions, groups of members, commit positions.

Everything lives on one event loop; `clients.py` has the clients.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from kallback.kafka.errors import missing_topic
from kallback.kafka.offsets.history import RECENT_S
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.kafka.records import (
    OutgoingRecord,
    Position,
    Record,
    TopicPartition,
    Unreadable,
    unreadable_record,
)
from kallback.protocol.errors import AccessDeniedError, KafkaUnavailableError, RecordTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Member(Protocol):
    """What a group asks of its members."""

    def wanted(self) -> list[TopicPartition]:
        """Return the partitions of the subscribed topics."""
        ...

    def assignment(self) -> frozenset[TopicPartition]:
        """Return what it owns."""
        ...

    async def give_up(self, partitions: Iterable[TopicPartition]) -> None:
        """Drain, commit and forget partitions."""
        ...

    def receive(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin to read partitions."""
        ...


class MemoryGroup:
    """Members, their partitions, and commit positions; one rebalance at a time."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.commits: dict[TopicPartition, Commit] = {}
        self._rebalancing = asyncio.Lock()

    async def rebalance(self) -> None:
        """Spread the partitions: first take away (and drain), then give."""
        async with self._rebalancing:
            shares = self._shares()
            for member in list(shares):
                await member.give_up(member.assignment() - shares[member])
            for member, share in shares.items():
                if member in self.members:
                    member.receive(share - member.assignment())

    def _shares(self) -> dict[Member, frozenset[TopicPartition]]:
        wanted = {partition for member in self.members for partition in member.wanted()}
        shares: dict[Member, set[TopicPartition]] = {member: set() for member in self.members}
        for partition in sorted(wanted):
            takers = [member for member in self.members if partition in member.wanted()]
            lowest = min(len(shares[member]) for member in takers)
            fair = [member for member in takers if len(shares[member]) == lowest]
            owners = [member for member in fair if partition in member.assignment()]
            shares[(owners or fair)[0]].add(partition)
        return {member: frozenset(share) for member, share in shares.items()}


class MemoryBroker:
    """Topics and groups in memory.

    Attributes:
        available: set it to False and sends fail with `KafkaUnavailableError`, as when Kafka is unavailable.
        denied: topics to which nothing may be written: sends fail with `AccessDeniedError`, as without WRITE.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.available = True
        self.denied: set[str] = set()
        self._clock = clock
        self._logs: dict[TopicPartition, list[Record]] = {}
        self._largest: dict[str, int] = {}
        self._groups: defaultdict[str, MemoryGroup] = defaultdict(MemoryGroup)
        self._turn = itertools.count()
        self._readers: set[asyncio.Event] = set()

    def create_topic(self, name: str, *, partitions: int = 1, largest: int = 1_048_576) -> None:
        """Make a topic; `largest` is the most bytes of key and value that a record may have."""
        if self.partitions(name):
            raise ValueError(f"topic {name!r} exists")
        self._largest[name] = largest
        for number in range(partitions):
            self._logs[TopicPartition(name, number)] = []

    def topics(self) -> frozenset[str]:
        """Return the names of all topics."""
        return frozenset(partition.topic for partition in self._logs)

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return a topic's partitions; none if it does not exist."""
        return [partition for partition in self._logs if partition.topic == topic]

    def records(self, topic: str) -> list[Record]:
        """Return all records of a topic, partition by partition: what a test asserts on."""
        return [record for partition in self.partitions(topic) for record in self._logs[partition]]

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return a group's commit positions by partition."""
        commits = self._groups[group].commits
        return {each.partition: commit.position for each, commit in commits.items() if each.topic == topic}

    def metadata(self, group: str, topic: str) -> dict[int, str]:
        """Return what a group's commits say beside their positions, by partition."""
        commits = self._groups[group].commits
        return {each.partition: commit.metadata for each, commit in commits.items() if each.topic == topic}

    def append(self, record: OutgoingRecord) -> Position:
        """Write one record, as `MemoryProducer.send` does.

        A header name with lone surrogates stands for one that is not UTF-8: the record is stored as unreadable.
        """
        if not self.available:
            raise KafkaUnavailableError(f"sending to {record.topic!r} failed (broker switched off); try again")
        partitions = self.partitions(record.topic)
        if not partitions:
            raise missing_topic(record.topic)
        if record.topic in self.denied:
            what = f"sending to {record.topic!r} (WRITE)"
            raise AccessDeniedError(f"{what} failed: let an administrator add the missing ACL")
        if len(record.key or b"") + len(record.value or b"") > self._largest[record.topic]:
            raise RecordTooLargeError(f"sending to {record.topic!r} failed: the record is larger than allowed")
        partition = partitions[self._partition_of(record, len(partitions))]
        log = self._logs[partition]
        stamp = int(self._clock() * 1000)
        stored = Record(record.topic, partition.partition, len(log), stamp, record.key, record.value, record.headers)
        if not all(_is_utf8(name) for name, _ in record.headers):
            stored = unreadable_record(partition, len(log), 0, Unreadable("a header name is not UTF-8"))
        log.append(stored)
        for arrived in self._readers:
            arrived.set()
        return Position(stored.topic, stored.partition, stored.offset)

    def _partition_of(self, record: OutgoingRecord, count: int) -> int:
        if record.placement is not None:
            return record.placement.partition_of(count)
        return (next(self._turn) if record.key is None else zlib.crc32(record.key)) % count

    def read(self, partition: TopicPartition, offset: int, limit: int) -> list[Record]:
        """Return records from an offset on."""
        return self._logs[partition][offset : offset + limit]

    def end(self, partition: TopicPartition) -> int:
        """Return the offset after the last record."""
        return len(self._logs[partition])

    def recent_begin(self, partition: TopicPartition) -> int | None:
        """Return the first offset of the last `RECENT_S`; None if there is none."""
        since_ms = (self._clock() - RECENT_S) * 1000
        return next((each.offset for each in self._logs[partition] if each.timestamp_ms >= since_ms), None)

    def listen(self, arrived: asyncio.Event) -> None:
        """Set the event whenever a record is written."""
        self._readers.add(arrived)

    def unlisten(self, arrived: asyncio.Event) -> None:
        """End `listen`."""
        self._readers.discard(arrived)

    def group(self, name: str) -> MemoryGroup:
        """Return a group, made at first mention."""
        return self._groups[name]


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
