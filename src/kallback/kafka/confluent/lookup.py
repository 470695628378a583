"""Records looked up by their positions: some of a topic with one consumer, one record, or ranges.

A consumer costs a connection and several questions, so many records of a topic share one. It reads all their partitions
together, each from the first record that is wanted to the last one, and jumps over what lies far apart.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from kallback.kafka.confluent.client import in_thread
from kallback.kafka.confluent.scan import TopicScan
from kallback.kafka.errors import unreachable
from kallback.kafka.records import Position, Record

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from kallback.settings import KafkaSettings

T = TypeVar("T")

_PATIENCE_S: Final = 30.0
"""Without any record, after which Kafka counts as unavailable; as for readers of dead letters."""
_NEAR_BYTES: Final = 1024 * 1024
"""As much is read and left alone: it came with the same answer of a broker, and a jump would ask for another one."""


async def find_record(settings: KafkaSettings, position: Position) -> Record | None:
    """Return the record at a position; None if it is not there any more, or never was.

    Raises:
        MissingTopicError: the topic does not exist.
        AccessDeniedError: reading it is not allowed.
        KafkaUnavailableError: no broker answered in time, or it stopped to answer.
    """
    return (await find_records(settings, [position], lambda record: record)).get(position)


async def find_records(
    settings: KafkaSettings, positions: Iterable[Position], keep: Callable[[Record], T]
) -> dict[Position, T]:
    """Look records up, with one consumer for each topic.

    Args:
        settings: of the cluster.
        positions: any number.
        keep: returns what is kept of a record, which bounds the memory; it is called in another thread.

    Returns:
        What is kept, by position; records that are not there any more, or never were, are left out.

    Raises:
        MissingTopicError, AccessDeniedError, KafkaUnavailableError: as `find_record`.
    """
    found, topics = dict[Position, T](), defaultdict[str, defaultdict[int, list[int]]](lambda: defaultdict(list))
    for at in sorted(set(positions), key=lambda each: each.offset):
        topics[at.topic][at.partition].append(at.offset)
    for topic, wanted in topics.items():
        found |= await in_thread(_Lookup(settings, topic, wanted, keep).run)
    return found


async def read_range(settings: KafkaSettings, first: Position, end: int) -> AsyncGenerator[list[Record]]:
    """Read the records from a position to before an offset of its partition, those that still exist.

    Raises:
        MissingTopicError, AccessDeniedError, KafkaUnavailableError: as `find_record`.
    """
    async with aclosing(read_ranges(settings, first.topic, {first.partition: (first.offset, end)})) as batches:
        async for records in batches:
            yield records


async def read_ranges(
    settings: KafkaSettings, topic: str, ranges: Mapping[int, tuple[int, int]]
) -> AsyncGenerator[list[Record]]:
    """Read ranges of some partitions with one consumer, as `read_range`; each partition in its order.

    Args:
        settings: of the cluster.
        topic: its name.
        ranges: first offset and end, by number of the partition.
    """
    async with _opened(settings, topic) as source:
        reading = PatientReading(settings, source, _PATIENCE_S)
        await in_thread(lambda _: source.assign_ranges(ranges))
        while source.end_offsets:
            if records := await in_thread(lambda _: reading.poll()):
                yield [record for record in records if record.offset < ranges[record.partition][1]]


@asynccontextmanager
async def _opened(settings: KafkaSettings, topic: str) -> AsyncGenerator[TopicScan]:
    source = await in_thread(lambda _: TopicScan(settings, topic))
    try:
        yield source
    finally:
        source.abandon()
        await in_thread(lambda _: source.close())


class Polls(Protocol):
    """What is read: `TopicScan`; a test has another one."""

    def poll(self) -> list[Record]:
        """Return what is there; nothing after a short while."""
        ...


class PatientReading:
    """Reads until nothing has come for a while. What a caller does between two polls is no silence of Kafka.

    Args:
        settings: of the cluster, for the sentence.
        source: what is read.
        patience_s: seconds of polls without a record.
    """

    def __init__(
        self, settings: KafkaSettings, source: Polls, patience_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings: Final = settings
        self._source: Final = source
        self._patience_s: Final = patience_s
        self._clock: Final = clock
        self._silent_s = 0.0

    def poll(self) -> list[Record]:
        """Return what is there; nothing after a short while; blocks.

        Raises:
            KafkaUnavailableError: nothing has come for too long.
        """
        began = self._clock()
        records = self._source.poll()
        self._silent_s = 0.0 if records else self._silent_s + self._clock() - began
        if self._silent_s > self._patience_s:
            raise unreachable(self._settings)
        return records


class _Lookup(Generic[T]):
    """Looks up records of one topic.

    Args:
        wanted: by number of the partition, offsets in their order.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, wanted: Mapping[int, Sequence[int]], keep: Callable[[Record], T]
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._wanted = wanted
        self._keep = keep
        self._found: dict[Position, T] = {}

    def run(self, abandoned: threading.Event) -> dict[Position, T]:
        """Return what is kept of the records that are there; blocks."""
        source = TopicScan(self._settings, self._topic, abandoned=abandoned)
        reading = PatientReading(self._settings, source, 2 * self._settings.connect_timeout)
        try:
            source.assign_ranges({number: (own[0], own[-1] + 1) for number, own in self._wanted.items()})
            while source.end_offsets and not abandoned.is_set():
                self._take(source, reading.poll())
        finally:
            source.close()
        return self._found

    def _take(self, source: TopicScan, records: Iterable[Record]) -> None:
        """Keep those that are wanted, then go on where the next ones are."""
        last = dict[int, Record]()
        for record in records:
            own = self._wanted[record.partition]
            for offset in own[bisect_left(own, record.offset) : bisect_left(own, record.next_offset)]:
                self._found[Position(self._topic, record.partition, offset)] = self._keep(record)
            last[record.partition] = record
        for partition, record in last.items():
            following = next_wanted(self._wanted[partition], record)
            if following is None or following >= source.end_offsets.get(partition, 0):  # what a forger asks for
                source.leave(partition)
            elif following != record.next_offset:
                source.go_to(partition, following)


def next_wanted(offsets: Sequence[int], last: Record) -> int | None:
    """Return where to go on behind a record: there, at an offset far behind it, or nowhere (None). Pure.

    Args:
        offsets: that are wanted, in their order.
        last: what was read; what follows it is taken to be as large.
    """
    behind = last.next_offset
    place = bisect_left(offsets, behind)
    if place == len(offsets):
        return None
    return offsets[place] if (offsets[place] - behind) * last.size > _NEAR_BYTES else behind
