"""The attempts that this process runs, and those that it has finished. Owned by the worker's loop.

The table outlives assignments. After a rebalance the same record may come to the same process again while it still runs
there: the duplicate *attaches* to that run and is settled with it. Dropping it instead would let the commit position
pass unfinished work. Only an attempt whose outcome is durable counts as finished.

An attempt that ended as a dead letter is not finished: people mend the cause and send the record again, and then it is
done once more. Until then only duplicates of the very record, at the same offset, are dropped.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kallback.kafka import Record
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
        self._finished: Final = RecentKeys[AttemptKey](finished_kept)
        self._dead_lettered: Final = RecentKeys[_RecordKey](finished_kept)

    def state_of(self, key: AttemptKey, record: Record) -> AttemptState:
        """What is known of an attempt whose record was fetched."""
        if key in self._running:
            return AttemptState.ACKNOWLEDGED if self._running[key] is None else AttemptState.RUNNING
        if key in self._finished or _record_key(record) in self._dead_lettered:
            return AttemptState.FINISHED
        return AttemptState.NEW

    def admit(self, key: AttemptKey, record: Record) -> None:
        """The attempt runs, or waits for a slot; duplicates attach from now on."""
        self._running[key] = [record]

    def attach(self, key: AttemptKey, duplicate: Record) -> None:
        """A duplicate waits for the running attempt."""
        records = self._running[key]
        if records is not None:
            records.append(duplicate)

    def acknowledge(self, key: AttemptKey) -> list[Record]:
        """The attempt continues, but its record is done: return it and its duplicates, to be settled."""
        records, self._running[key] = self._running.get(key), None
        return records or []

    def finish(self, key: AttemptKey) -> list[Record]:
        """The attempt's outcome is durable: return its record and duplicates, to be settled."""
        self._finished.add(key)
        return self._running.pop(key) or []

    def dead_letter(self, key: AttemptKey) -> list[Record]:
        """A dead letter holds the attempt's record: return it and its duplicates, to be settled."""
        records = self._running.pop(key) or []
        for record in records:
            self._dead_lettered.add(_record_key(record))
        return records

    def abandon(self, key: AttemptKey) -> list[Record]:
        """The attempt ended: return its record and duplicates if they are not settled. They come again."""
        return self._running.pop(key, None) or []


def _record_key(record: Record) -> _RecordKey:
    return _RecordKey(record.topic, record.partition, record.offset)
