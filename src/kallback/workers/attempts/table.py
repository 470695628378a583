"""The attempts that this process runs, and those that it has finished. Owned by the worker's loop.

The table outlives assignments. After a rebalance the same record may come to the same process again while it still runs
there: the duplicate *attaches* to that run and is settled with it. Dropping it instead would let the commit position
pass unfinished work. Only an attempt whose outcome is durable counts as finished.

An attempt that ended as a dead letter is not finished: people mend the cause and send the record again, and then it is
done once more. Until then only duplicates of the very record, at the same offset, are dropped. From the moment at which
the dead letter is sent, a record of the attempt at another offset may be such a replay: it is kept, and admitted when
the attempt has ended.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kallback.kafka import Record, TopicPartition
from kallback.lifecycle import RecentKeys
from kallback.workers.attempts.decide import AttemptKey, AttemptState


class _RecordKey(NamedTuple):
    topic: str
    partition: int
    offset: int


class AttemptTable:
    """What runs, and what is finished.

    Args:
        finished_kept: how many finished attempts are remembered, and how many dead-lettered records.
    """

    def __init__(self, finished_kept: int) -> None:
        self._running: Final = dict[AttemptKey, list[Record] | None]()
        self._replays_from: Final = dict[AttemptKey, int]()
        self._watched: Final = set[AttemptKey]()
        self._leaving: Final = set[TopicPartition]()  # in a rebalance, until a record of it is admitted again
        self._finished: Final = RecentKeys[AttemptKey](finished_kept)
        self._dead_lettered: Final = RecentKeys[_RecordKey](finished_kept)

    @property
    def holds_records(self) -> bool:
        """Whether the record of a running attempt is still to be settled."""
        return any(self._running.values())

    def state_of(self, key: AttemptKey, record: Record) -> AttemptState:
        """What is known of an attempt whose record was fetched."""
        if key in self._running:
            return AttemptState.ACKNOWLEDGED if self._running[key] is None else AttemptState.RUNNING
        if key in self._finished or _record_key(record) in self._dead_lettered:
            return AttemptState.FINISHED
        return AttemptState.NEW

    def admit(self, key: AttemptKey, record: Record) -> None:
        """The attempt runs, or waits for a slot; duplicates attach from now on."""
        self._leaving.discard(_partition_of(record))
        self._running[key] = [record]

    def attach(self, key: AttemptKey, duplicate: Record) -> None:
        """A duplicate waits for the running attempt."""
        records = self._running[key]
        if records is not None:
            records.append(duplicate)

    def watch(self, key: AttemptKey) -> list[Record]:
        """The attempt runs, and its caller sends another one if its heartbeats stop.

        Returns its records, to be settled, if a rebalance takes their partition away just now.
        """
        if key not in self._running:
            return []
        self._watched.add(key)
        return self.acknowledge_watched(frozenset(self._leaving))

    def acknowledge_watched(self, partitions: frozenset[TopicPartition]) -> list[Record]:
        """Watched attempts whose records are on these partitions continue without them: return the records."""
        self._leaving.update(partitions)
        keys = [key for key in self._watched if any(_partition_of(it) in partitions for it in self._running[key] or ())]
        return [record for key in keys for record in self.acknowledge(key)]

    def acknowledge(self, key: AttemptKey) -> list[Record]:
        """The attempt continues, but its record is done: return it and its duplicates, to be settled."""
        records, self._running[key] = self._running.get(key), None
        return records or []

    def finish(self, key: AttemptKey) -> list[Record]:
        """The attempt's outcome is durable: return its record and duplicates, to be settled."""
        self._finished.add(key)
        return self._end(key)

    def begin_dead_letter(self, key: AttemptKey) -> None:
        """A dead letter is about to be sent: what attaches from now on at another offset is a replay."""
        records = self._running[key] = self._running.get(key) or []
        self._replays_from[key] = len(records)

    def dead_letter(self, key: AttemptKey) -> list[Record]:
        """A dead letter holds the attempt's record: return it and its duplicates, to be settled.

        Replays stay: `abandon` returns them.
        """
        first = self._replays_from.get(key)
        records = self._end(key)
        first = len(records) if first is None else first
        for record in records[:first]:
            self._dead_lettered.add(_record_key(record))
        replays = [each for each in records[first:] if _record_key(each) not in self._dead_lettered]
        if replays:
            self._running[key] = replays
        return [each for each in records if each not in replays]

    def abandon(self, key: AttemptKey) -> list[Record]:
        """The attempt ended: return its record and duplicates if they are not settled. They are admitted again."""
        return self._end(key)

    def _end(self, key: AttemptKey) -> list[Record]:
        self._watched.discard(key)
        self._replays_from.pop(key, None)
        return self._running.pop(key, None) or []


def _partition_of(record: Record) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _record_key(record: Record) -> _RecordKey:
    return _RecordKey(record.topic, record.partition, record.offset)
