"""A fetched record, with the consumer that it came from."""

from __future__ import annotations

from kallback.kafka import Consumer, Record, size_of


class FetchedRecord:
    """A record with the consumer that fetched it: only that consumer may be told that the record is done.

    A consumer that cannot go on is replaced by another one, whose epochs say nothing about the first one's records.

    Attributes:
        since: when it was fetched, in seconds of `Clocks.monotonic`.
        size: bytes that it holds: key, value and headers.
    """

    __slots__ = ("consumer", "record", "since", "size")

    def __init__(self, record: Record, consumer: Consumer, since: float = 0.0, size: int | None = None) -> None:
        self.record = record
        self.consumer = consumer
        self.since = since
        self.size = size_of(record) if size is None else size

    def done(self) -> None:
        """Tell its consumer that its outcome is durable."""
        self.consumer.done(self.record)
