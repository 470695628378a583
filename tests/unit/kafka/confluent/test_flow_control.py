"""When a full partition is paused, which discards what librdkafka has fetched of it."""

from __future__ import annotations

import threading
from typing import Any
from unittest.mock import patch

import pytest

from kallback.kafka import ConsumerOptions, Record, TopicPartition
from kallback.kafka.confluent.membership.flow_control import FlowControl
from kallback.kafka.offsets.record_buffer import RecordBuffer

PARTITIONS = [TopicPartition("t", number) for number in range(12)]


class FakeConsumer:
    """Notes what is paused."""

    def __init__(self) -> None:
        self.paused: list[int] = []

    def pause(self, partitions: list[Any]) -> None:
        """Note it."""
        self.paused += [each.partition for each in partitions]

    def resume(self, partitions: list[Any]) -> None:
        """Note it."""
        gone = {each.partition for each in partitions}
        self.paused = [each for each in self.paused if each not in gone]


class Caller(threading.Event):
    """Takes records of a buffer whenever the feeder waits for it; each time lasts ten milliseconds of the clock."""

    def __init__(self, buffer: RecordBuffer, takes: int) -> None:
        super().__init__()
        self.now = 0.0
        self._buffer = buffer
        self._takes = takes

    def wait(self, timeout: float | None = None) -> bool:
        """Take some; say whether that came in time."""
        if timeout is None or timeout <= 0 or not self._takes:
            return False
        self._takes -= 1
        self.now += 0.01
        return bool(self._buffer.take(5))


@pytest.fixture
def buffer() -> RecordBuffer:
    """A buffer whose partitions are all full."""
    buffer = RecordBuffer(ConsumerOptions(buffer_records=10), lambda: None)
    epochs = buffer.assign(PARTITIONS)
    for each in PARTITIONS:
        buffer.put(each, [Record("t", each.partition, offset, 0, None, b"v", (), epochs[each]) for offset in range(10)])
    return buffer


def paused(buffer: RecordBuffer, caller: Caller) -> list[int]:
    """What is paused where this caller takes."""
    consumer = FakeConsumer()
    client: Any = consumer
    buffer.taken = caller
    with patch("time.monotonic", lambda: caller.now):
        FlowControl(client, buffer).update(PARTITIONS)
    return consumer.paused


def test_nothing_is_paused_while_the_caller_goes_on_taking(buffer: RecordBuffer) -> None:
    """It takes longer than one wait to come to each partition, and it comes to each."""
    assert paused(buffer, Caller(buffer, takes=100)) == []


def test_what_stays_full_is_paused_when_the_caller_takes_nothing_more(buffer: RecordBuffer) -> None:
    """The others go on."""
    assert paused(buffer, Caller(buffer, takes=4)) == list(range(4, 12))


def test_what_is_full_is_paused_at_once_while_a_command_waits(buffer: RecordBuffer) -> None:
    """The caller takes nothing before its commit is answered, and the answer comes with a poll."""
    consumer = FakeConsumer()
    client: Any = consumer
    buffer.taken = Caller(buffer, takes=100)
    FlowControl(client, buffer).update(PARTITIONS, lambda: False)
    assert consumer.paused == list(range(12))


def test_what_is_paused_is_not_paused_again(buffer: RecordBuffer) -> None:
    """Neither while commits wait nor otherwise: each pause is a question to librdkafka's own thread."""
    consumer = FakeConsumer()
    client: Any = consumer
    buffer.taken = Caller(buffer, takes=0)
    flow = FlowControl(client, buffer)
    flow.update(PARTITIONS)
    for _ in range(2):
        flow.update(PARTITIONS, lambda: False)
    assert consumer.paused == list(range(12))


def test_what_is_taken_away_is_resumed(buffer: RecordBuffer) -> None:
    """Full or stopped: librdkafka would keep the pause, and the partition would never be read in a later assignment."""
    consumer = FakeConsumer()
    client: Any = consumer
    buffer.taken = Caller(buffer, takes=0)
    flow = FlowControl(client, buffer)
    flow.update(PARTITIONS[:2])
    flow.stop(PARTITIONS[2])
    assert consumer.paused == [0, 1, 2]
    flow.forget([PARTITIONS[0], PARTITIONS[2]])
    assert (consumer.paused, flow.paused) == ([1], {PARTITIONS[1]})
