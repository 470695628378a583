"""The records of one producer that Kafka has not acknowledged, in the order in which they were sent."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import asyncio

    from kallback.kafka.records import OutgoingRecord, Position


class SentRecord(NamedTuple):
    """A record on its way.

    Attributes:
        partition: that was asked for.
        since: monotonic seconds.
    """

    record: OutgoingRecord
    partition: int
    since: float


class Unacknowledged:
    """Any thread may use it.

    Args:
        most_bytes: of keys, values and headers; a single record may have more.

    Attributes:
        closed: no record is added, because a new client is about to take the place of the present one.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes: Final = most_bytes
        self._lock: Final = threading.Lock()
        self._sent: dict[asyncio.Future[Position], SentRecord] = {}
        self._bytes = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def closed(self) -> bool:
        """Whether no record is added."""
        return self._closed

    @closed.setter
    def closed(self, value: bool) -> None:
        with self._lock:
            self._closed = value

    def add(self, record: OutgoingRecord, future: asyncio.Future[Position], partition: int) -> None:
        """Note a record; raises BufferError while none is taken, or not one of this size."""
        with self._lock:
            if self._closed or (self._bytes and self._bytes + record.size > self._most_bytes):
                raise BufferError
            self._bytes += record.size
            self._sent[future] = SentRecord(record, partition, time.monotonic())

    def remove(self, future: asyncio.Future[Position]) -> None:
        """Forget a record; nothing happens for one that is forgotten already."""
        with self._lock:
            sent = self._sent.pop(future, None)
            self._bytes -= 0 if sent is None else sent.record.size

    def each(self) -> list[tuple[asyncio.Future[Position], SentRecord]]:
        """All of them now, the first one first."""
        with self._lock:
            return list(self._sent.items())
