"""What waits of one partition in a `HandOver`, whose lock guards it."""

from __future__ import annotations

from collections import deque

from kallback.kafka.offsets.partition_limit import Load
from kallback.kafka.records import Record


class Held:
    """The records of one partition that wait to be handed out, and the load of those that were."""

    __slots__ = ("bytes", "end", "load", "records", "revoking")

    def __init__(self, load: Load) -> None:
        self.records: deque[Record] = deque()
        self.bytes = 0
        self.revoking = False
        self.load = load
        self.end: int | None = None  # with the records held, and those before them, everything up to here was read


def size_of(record: Record) -> int:
    """Return what counts of a record where bytes are bounded: its key and its value."""
    return len(record.key or b"") + len(record.value or b"")
