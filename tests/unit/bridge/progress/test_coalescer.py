"""Which progress updates are sent, and when."""

from __future__ import annotations

import pytest
from tests.unit.bridge.factories import NOW

from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.progress.coalescer import Coalescer
from kallback.bridge.progress.decide import ProgressUpdate
from kallback.kafka import MemoryBroker, MemoryConsumer, Record
from kallback.protocol import Report, Signal, TaskId

NOW_MS = int(NOW * 1000)
TASK = TaskId("AAECAwQFBgcICQoL")
CONSUMER = MemoryConsumer(MemoryBroker(), ["kallback.progress"], "group")


def update_of(
    details: bytes = b"", attempt: int = 1, every_ms: int | None = 1000, task: TaskId = TASK
) -> ProgressUpdate:
    """An update of a task."""
    return ProgressUpdate(task, attempt, "kb1:secret", Report(Signal.HEARTBEAT, 1, details, every_ms), NOW_MS)


def record_at(offset: int, since: float = 0.0, partition: int = 0) -> FetchedRecord:
    """A record of the progress topic, read at `since`."""
    return FetchedRecord(Record("kallback.progress", partition, offset, NOW_MS, None, None, ()), CONSUMER, since)


def accepted(coalescer: Coalescer, offset: int, at: float, update: ProgressUpdate | None = None) -> None:
    """Let one update be read and accepted at a time."""
    update, fetched = update or update_of(), record_at(offset, at)
    coalescer.add(update, fetched)
    assert list(coalescer.due(at))
    coalescer.accepted(update, fetched, at)


def test_the_first_one_goes_at_once() -> None:
    """The monitor must know that the task has started."""
    coalescer, first = Coalescer(), record_at(0)
    coalescer.add(update_of(), first)
    assert [each for _, each in coalescer.due(0.0)] == [first]


def test_the_next_one_waits_half_an_interval() -> None:
    """One call per task and half interval, however often the worker writes."""
    coalescer, second = Coalescer(), record_at(1)
    accepted(coalescer, 0, 0.0)
    coalescer.add(update_of(), second)
    assert not list(coalescer.due(0.49))
    assert [each for _, each in coalescer.due(0.5)] == [second]


def test_nothing_goes_while_one_is_under_way() -> None:
    """They would overtake each other."""
    coalescer = Coalescer()
    coalescer.add(update_of(), record_at(0))
    list(coalescer.due(0.0))
    coalescer.add(update_of(), record_at(1))
    assert not list(coalescer.due(100.0))


def test_a_newer_one_replaces_the_one_that_waits() -> None:
    """The older record is settled at once, its details are kept if the newer one has none."""
    coalescer, older, newer = Coalescer(), record_at(0), record_at(1)
    coalescer.add(update_of(b"1"), older)
    assert coalescer.add(update_of(), newer) is older
    ((kept, its_record),) = coalescer.due(0.0)
    assert (kept.report.details, its_record) == (b"1", newer)


def test_an_older_attempt_replaces_nothing() -> None:
    """Its attempt was given up already."""
    coalescer, older = Coalescer(), record_at(1)
    coalescer.add(update_of(attempt=2), record_at(0))
    assert coalescer.add(update_of(attempt=1), older) is older


def test_an_older_attempt_replaces_nothing_that_failed() -> None:
    """A worker that still sends for it must not make the start of the next attempt unheard."""
    coalescer, newer, older = Coalescer(), record_at(0), record_at(1)
    coalescer.add(update_of(attempt=2), newer)
    ((sent, its_record),) = coalescer.due(0.0)
    assert coalescer.add(update_of(attempt=1), older) is older
    assert coalescer.failed(sent, its_record, again_at=1.0) is None
    assert [each for _, each in coalescer.due(1.0)] == [newer]


@pytest.mark.parametrize("meanwhile", [False, True], ids=["answered", "under-way"])
def test_the_interval_of_an_older_attempt_delays_no_newer_one(*, meanwhile: bool) -> None:
    """Its worker may have told any."""
    coalescer, slow, newer = Coalescer(), update_of(every_ms=60_000), record_at(1)
    coalescer.add(slow, record_at(0))
    assert list(coalescer.due(0.0))
    if meanwhile:
        coalescer.add(update_of(attempt=2), newer)
    coalescer.accepted(slow, record_at(0), 0.1)
    if not meanwhile:
        coalescer.add(update_of(attempt=2), newer)
    assert [each for _, each in coalescer.due(0.2)] == [newer]


def test_what_failed_waits_with_what_came_meanwhile() -> None:
    """One record is held back per task, whatever happens to Restate."""
    coalescer, first, second = Coalescer(), record_at(0), record_at(1)
    coalescer.add(update_of(b"1"), first)
    ((sent, its_record),) = coalescer.due(0.0)
    coalescer.add(update_of(), second)
    assert coalescer.failed(sent, its_record, again_at=3.0) is first
    assert not list(coalescer.due(2.9))
    ((again, newer),) = coalescer.due(3.0)
    assert (again.report.details, newer) == (b"1", second)


def test_what_failed_alone_goes_again() -> None:
    """It is not lost."""
    coalescer, first = Coalescer(), record_at(0)
    coalescer.add(update_of(), first)
    list(coalescer.due(0.0))
    assert coalescer.failed(update_of(), first, again_at=1.0) is None
    assert [each for _, each in coalescer.due(1.0)] == [first]


def test_silent_tasks_are_forgotten() -> None:
    """A bridge runs for months."""
    coalescer = Coalescer()
    for number in range(1000):
        accepted(coalescer, number, 0.0, update_of(task=TaskId(f"{number:016}")))
    list(coalescer.due(1_000.0))
    assert len(coalescer) == 0


def test_an_accepted_update_covers_the_later_ones_of_its_interval() -> None:
    """The monitor needs none of them yet, waiting or under way."""
    coalescer = Coalescer()
    accepted(coalescer, 0, 0.0)
    coalescer.add(update_of(), record_at(1, 0.3))
    waiting = coalescer.oldest_uncovered(0.4)
    list(coalescer.due(0.5))
    coalescer.add(update_of(), record_at(2, 0.6))
    assert (waiting, coalescer.oldest_uncovered(0.9)) == ({}, {})


def test_after_two_intervals_nothing_is_covered() -> None:
    """An update that Restate does not accept holds the marks of its partition back."""
    coalescer = Coalescer()
    accepted(coalescer, 0, 0.0)
    coalescer.add(update_of(), record_at(1, 0.3))
    assert (coalescer.oldest_uncovered(1.9), coalescer.oldest_uncovered(2.0)) == ({}, {0: 1})


def test_an_update_that_waited_half_an_interval_leaves_no_gap_before_the_next() -> None:
    """Workers send every half interval: the next one is due half an interval after this one, and then on its way."""
    coalescer = Coalescer()
    accepted(coalescer, 0, 0.0)
    waited, update = record_at(1, 0.01), update_of()
    coalescer.add(update, waited)
    assert list(coalescer.due(0.5))
    coalescer.accepted(update, waited, 0.55)
    coalescer.add(update_of(), record_at(2, 0.6))
    assert list(coalescer.due(1.05))
    assert coalescer.oldest_uncovered(1.1) == {}


def test_a_worker_that_does_not_say_its_interval_is_covered_for_one() -> None:
    """Its limit may be shorter than three usual intervals."""
    coalescer = Coalescer()
    accepted(coalescer, 0, 0.0, update_of(every_ms=None))
    coalescer.add(update_of(every_ms=None), record_at(1, 0.3))
    assert (coalescer.oldest_uncovered(1.9), coalescer.oldest_uncovered(2.0)) == ({}, {0: 1})


def test_the_first_update_of_an_attempt_is_never_covered() -> None:
    """The monitor waits for it, whatever it knows of the attempt before."""
    coalescer = Coalescer()
    accepted(coalescer, 0, 0.0)
    coalescer.add(update_of(attempt=2), record_at(1, 0.1))
    assert coalescer.oldest_uncovered(0.2) == {0: 1}


def test_the_oldest_uncovered_record_counts_by_partition() -> None:
    """A partition waits for its own records only."""
    coalescer = Coalescer()
    for offset, partition in [(7, 0), (5, 1), (3, 0)]:
        task = TaskId(f"{offset:016}")
        coalescer.add(update_of(task=task), record_at(offset, partition=partition))
    assert coalescer.oldest_uncovered(0.0) == {0: 3, 1: 5}
