"""Where a lookup of many records goes on: at the next record, far behind it, or nowhere."""

from __future__ import annotations

import pytest

from kallback.kafka import Record, Unreadable
from kallback.kafka.confluent.lookup import PatientReading, next_wanted
from kallback.protocol import KafkaUnavailableError
from kallback.settings import KafkaSettings


def record(offset: int, size: int = 1000, unreadable: Unreadable | None = None) -> Record:
    """A record of this size."""
    return Record("tasks", 0, offset, 0, None, None, (), size=size, unreadable=unreadable)


@pytest.mark.parametrize(
    ("last", "goes_on"),
    [(5, 6), (10, 11), (990, 991), (1000, 9000), (8000, 8001), (9000, None), (9500, None)],
)
def test_what_is_near_is_read_and_what_is_far_is_jumped_to(last: int, goes_on: int | None) -> None:
    """Within a mebibyte, counted in records of the last one's size; behind the last wanted one, nothing is read."""
    assert next_wanted([10, 1000, 9000], record(last)) == goes_on


def test_large_records_are_jumped_over_sooner() -> None:
    """Eleven of 100 kB are more than a broker's answer has."""
    assert next_wanted([10, 21, 40], record(10, size=100_000)) == 11
    assert next_wanted([10, 22, 40], record(10, size=100_000)) == 22


def test_a_batch_that_cannot_be_read_stands_for_all_its_records() -> None:
    """It goes on behind the batch."""
    assert next_wanted([10, 12, 20], record(10, unreadable=Unreadable("bad", 5))) == 15


class Source:
    """Each poll takes a second and returns what is given."""

    def __init__(self, *polls: list[Record]) -> None:
        self.polls = list(polls)
        self.now = 0.0

    def poll(self) -> list[Record]:
        """The next one; nothing behind them."""
        self.now += 1
        return self.polls.pop(0) if self.polls else []


def patient(source: Source) -> PatientReading:
    """One that waits for three seconds."""
    return PatientReading(KafkaSettings(), source, 3, lambda: source.now)


def test_a_kafka_that_sends_nothing_more_is_unavailable() -> None:
    """After the time in polls without a record; a record begins the time anew."""
    reading = patient(Source([], [], [record(0)]))
    assert [len(reading.poll()) for _ in range(6)] == [0, 0, 1, 0, 0, 0]
    with pytest.raises(KafkaUnavailableError):
        reading.poll()


def test_work_between_two_polls_is_no_silence_of_kafka() -> None:
    """A replay that sent a batch of a summary for half a minute ended at the next poll that returned nothing."""
    source = Source([record(0)], [], [record(1)])
    reading = patient(source)
    reading.poll()
    source.now += 1000
    assert [len(reading.poll()) for _ in range(2)] == [0, 1]
