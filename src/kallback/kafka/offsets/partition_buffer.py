"""The buffer of one partition in a `RecordBuffer`, whose lock guards it, and the limit of its unfinished records.

The limit keeps one partition from taking all the capacity of the caller. Full, it closes; it opens again at three
quarters, because otherwise each finished record would be replaced by a fetch of its own.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Final

from kallback.kafka.offsets.refused_runs import extends
from kallback.kafka.records import Record, size_of

_REFILL: Final = 0.75


class UnfinishedLimit:
    """Counts records and bytes that are handed out and not done. Not thread-safe: its owner guards it.

    Args:
        most_records: closed at this number; None: no bound.
        most_bytes: closed at this number; None: no bound. A single record may be larger.
    """

    __slots__ = ("_bytes", "_closed", "_most_bytes", "_most_records", "_records")

    def __init__(self, most_records: int | None, most_bytes: int | None) -> None:
        self._most_records = most_records or sys.maxsize
        self._most_bytes = most_bytes or sys.maxsize
        self._records = 0
        self._bytes = 0
        self._closed = False

    @property
    def room(self) -> int:
        """How many more records may be handed out."""
        return 0 if self._closed else self._most_records - self._records

    def add(self, size: int) -> None:
        """Count one record more."""
        self._records += 1
        self._bytes += size
        self._closed = self._records >= self._most_records or self._bytes >= self._most_bytes

    def remove(self, size: int) -> None:
        """Count one record less."""
        self._records -= 1
        self._bytes -= size
        if self._closed:
            self._closed = self._records > self._most_records * _REFILL or self._bytes > self._most_bytes * _REFILL


class PartitionBuffer:
    """The records of one partition that wait to be handed out, and the limit of those that were.

    Attributes:
        aside: offsets that are handed out and not done, and that the limit does not count.
        released: offsets that are handed out and not done, and that no drain waits for.
    """

    __slots__ = ("aside", "bytes", "end", "limit", "records", "released", "revoking")

    def __init__(self, limit: UnfinishedLimit) -> None:
        self.records: deque[Record] = deque()
        self.bytes = 0
        self.revoking = False
        self.limit = limit
        self.aside: set[int] = set()
        self.released: set[int] = set()
        self.end: int | None = None  # everything before it was read: it is buffered or was handed out

    def append(self, records: Sequence[Record]) -> int:
        """Buffer records, a run of refused ones as part of the run before it; return the bytes that they add."""
        last = self.records[-1] if self.records else None
        if last is not None and last.refused is not None and last.epoch == records[0].epoch:
            records = records[1:] if extends(last.refused, records[0]) else records
        size = sum(map(size_of, records))
        self.records.extend(records)
        self.bytes += size
        return size

    def settled(self, record: Record) -> None:
        """Count a record that is done no longer."""
        self.released.discard(record.offset)
        if record.offset in self.aside:
            self.aside.remove(record.offset)
        else:
            self.limit.remove(size_of(record))

    def set_aside(self, offset: int, size: int) -> None:
        """Count a record no longer, though it is not done."""
        if offset not in self.aside:
            self.aside.add(offset)
            self.limit.remove(size)
