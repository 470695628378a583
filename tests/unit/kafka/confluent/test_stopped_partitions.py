"""A partition that is stopped at a damaged batch is read again, whatever happens before the end of it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.unit.kafka.confluent.messages import Message

from kallback.kafka import ConsumerOptions, TopicPartition
from kallback.kafka.confluent.batch_search import DamagedBatch
from kallback.kafka.confluent.client import ClientErrors
from kallback.kafka.confluent.reading import PartitionReading
from kallback.kafka.offsets.record_buffer import RecordBuffer
from kallback.settings import KafkaSettings

PARTITION = TopicPartition("results", 0)


class Client:
    """A librdkafka consumer that hands out what it is told to.

    Attributes:
        paused: whether the partition is paused.
        sought: the offsets at which it was told to go on.
        refusals: how many times it cannot go on at another offset.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.paused = False
        self.sought: list[int] = []
        self.refusals = 0

    def poll(self, _timeout: float) -> Message | None:
        """Return the next message."""
        return self.messages.pop(0) if self.messages else None

    def consume(self, _limit: int, _timeout: float) -> list[Message]:
        """Return nothing more."""
        return []

    def pause(self, _partitions: object) -> None:
        """Pause."""
        self.paused = True

    def resume(self, _partitions: object) -> None:
        """Resume."""
        self.paused = False

    def seek(self, partition: Any) -> None:
        """Go on at another offset, if it can."""
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.sought.append(partition.offset)


class Search:
    """Finds what the test says."""

    def __init__(self) -> None:
        self.results: list[DamagedBatch] = []
        self.begun: list[int] = []

    def begin(self, _partition: TopicPartition, epoch: int, _first: int, _detail: str) -> None:
        """Note the epoch."""
        self.begun.append(epoch)

    def put_back(self, batch: DamagedBatch) -> None:
        """Find it again."""
        self.results.append(batch)

    def found(self) -> Iterator[DamagedBatch]:
        """Return the results."""
        results, self.results = self.results, []
        yield from results


Stopped = tuple[PartitionReading, Any, Any]


@pytest.fixture
def stopped() -> Stopped:
    """A partition that is stopped at offset 7, its client, and its search."""
    client: Any = Client()
    search: Any = Search()
    buffer = RecordBuffer(ConsumerOptions(), lambda: None)
    reading = PartitionReading(client, buffer, ClientErrors(KafkaSettings()), lambda *_: None, search)
    reading.assign(buffer.assign([PARTITION]))
    client.messages = [Message(6), Message(7, code=KafkaError._BAD_COMPRESSION)]
    reading.poll()
    reading.poll()
    assert client.paused
    return reading, client, search


def test_it_goes_on_behind_the_batch_as_soon_as_the_client_can(stopped: Stopped) -> None:
    """A client that loses the partition at this moment cannot; that is no failure, and the result is not lost."""
    reading, client, search = stopped
    client.refusals = 1
    search.results = [DamagedBatch(PARTITION, search.begun[0], 7, "too large", 9)]
    reading.step_over_damaged()
    assert client.paused
    reading.step_over_damaged()
    assert (client.paused, client.sought) == (False, [9])


def test_it_goes_on_where_another_log_has_taken_the_place_of_the_batch(stopped: Stopped) -> None:
    """The result of the search is then of a batch that does not exist any more, and nothing would wait for another."""
    reading, client, search = stopped
    client.messages = [Message(0)]  # fetched before the pause
    reading.poll()
    search.results = [DamagedBatch(PARTITION, search.begun[0], 7, "too large", 9)]
    reading.step_over_damaged()
    assert (client.paused, client.sought) == (False, [])
