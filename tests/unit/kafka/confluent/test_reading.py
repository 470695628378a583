"""How much one poll reads, and how often what it read is passed on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.kafka.confluent.messages import Message

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.confluent.client import ClientErrors
from kallback.kafka.confluent.reading import PartitionReading
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.settings import KafkaSettings

PARTITION = TopicPartition("results", 0)
MIB = 1024 * 1024


class Queue:
    """A librdkafka consumer that has fetched messages already.

    Attributes:
        most: messages that were taken with one call, at most.
    """

    def __init__(self, values: Sequence[bytes]) -> None:
        self.messages = [Message(offset, value) for offset, value in enumerate(values)]
        self.most = 0

    def poll(self, _timeout: float) -> Message | None:
        """Return the next one."""
        return next(iter(self.consume(1, 0)), None)

    def consume(self, limit: int, _timeout: float) -> list[Message]:
        """Return the next ones."""
        taken, self.messages = self.messages[:limit], self.messages[limit:]
        self.most = max(self.most, len(taken))
        return taken


class CountingBuffer(RecordBuffer):
    """A buffer that notes how it is filled."""

    def __init__(self, options: ConsumerOptions) -> None:
        super().__init__(options, lambda: None)
        self.added: list[int] = []

    def add(self, partition: TopicPartition, records: Sequence[Record]) -> None:
        """Note how many records come together."""
        self.added.append(len(records))
        super().add(partition, records)


def reading_of(queue: Any, buffer: RecordBuffer) -> PartitionReading:
    """Read one partition from its beginning."""

    def fail(*error: object) -> None:
        pytest.fail(f"no error was expected: {error}")

    reading = PartitionReading(queue, buffer, ClientErrors(KafkaSettings()), fail, None)
    reading.assign(buffer.assign([PARTITION]))
    return reading


def test_small_records_are_taken_in_slices_and_added_together() -> None:
    """What a slice takes of memory is known only when it was taken; adding costs as much as reading a record or two."""
    queue, buffer = Queue([b"small"] * 100), CountingBuffer(ConsumerOptions())
    reading_of(queue, buffer).poll()
    assert [each.offset for each in buffer.take(200)] == list(range(100))
    assert queue.most == 8
    assert buffer.added == [100]


def test_a_poll_of_large_records_reads_no_more_than_the_buffer_holds() -> None:
    """Each slice counts before the next one is taken, and large messages are taken one by one."""
    queue, buffer = Queue([b"x" * MIB] * 100), CountingBuffer(ConsumerOptions(buffer_bytes_total=MIB // 2))
    reading_of(queue, buffer).poll()
    assert buffer.added == [1]
    assert queue.most == 1


def test_a_poll_of_large_records_ends_before_a_partition_holds_more_than_its_share() -> None:
    """Only between polls is a full partition paused: one poll read 32 MiB of keys into the buffer of one partition."""
    options = ConsumerOptions()
    queue, buffer = Queue([b"x" * MIB] * 100), CountingBuffer(options)
    reading = reading_of(queue, buffer)
    while not buffer.is_full(PARTITION):
        reading.poll()
    assert sum(buffer.added) * MIB < 2 * options.buffer_bytes


def test_slices_become_small_again_behind_large_records() -> None:
    """Small records in front do not let a run of large ones be taken together."""
    large = [b"x" * (MIB + 1)] * 20
    queue, buffer = Queue([b"small"] * 30 + large), CountingBuffer(ConsumerOptions(buffer_bytes_total=64 * MIB))
    reading = reading_of(queue, buffer)
    while queue.messages:
        reading.poll()
    assert max(buffer.added) <= 30 + 8
    assert buffer.added[1:] == [1] * (len(buffer.added) - 1)
    assert sum(buffer.added) == 50


def test_polls_are_longer_only_where_nothing_is_read_or_worked_on() -> None:
    """An idle consumer wakes up seldom; the commit of a record that waits or is being done waits for no long poll."""
    buffer = CountingBuffer(ConsumerOptions())
    reading = reading_of(Queue([b"small"]), buffer)
    later = time.monotonic() + 60
    quiet = reading.patience(later)
    assert reading.patience(time.monotonic()) < quiet
    reading.poll()
    buffered = reading.patience(later)
    (record,) = buffer.take(1)
    unfinished = reading.patience(later)
    buffer.done(record)
    assert (buffered < quiet, unfinished < quiet, reading.patience(later)) == (True, True, quiet)
