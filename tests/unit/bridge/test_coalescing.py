from kallback.bridge.progress.coalescer import Coalescer
from kallback.bridge.progress.decide import ProgressUpdate
from kallback.kafka import Record
from kallback.protocol import Report, Signal, TaskId

from .conftest import NOW

NOW_MS = int(NOW * 1000)
TASK = TaskId("AAECAwQFBgcICQoL")


def _update(details: bytes = b"", attempt: int = 1, every_ms: int | None = 1000, task: TaskId = TASK) -> ProgressUpdate:
    return ProgressUpdate(task, attempt, "kb1:secret", Report(Signal.HEARTBEAT, 1, details, every_ms), NOW_MS)


def _record(offset: int) -> Record:
    return Record("kallback.progress", 0, offset, NOW_MS, None, None, ())


def test_the_first_one_goes_at_once() -> None:
    """Progress is update the first time."""
    coalescer = Coalescer()
    coalescer.add(_update(), _record(0))
    assert [each for _, each in coalescer.due(0.0)] == [_record(0)]


def test_the_next_one_waits_half_an_interval() -> None:
    """One call per task and half interval, however often the worker writes."""
    coalescer = Coalescer()
    coalescer.add(_update(), _record(0))
    list(coalescer.due(0.0))
    coalescer.sent(_update(), 0.0)
    coalescer.add(_update(), _record(1))
    assert not list(coalescer.due(0.49))
    assert [each for _, each in coalescer.due(0.5)] == [_record(1)]


def test_nothing_goes_while_one_is_under_way() -> None:
    """They would overtake each other."""
    coalescer = Coalescer()
    coalescer.add(_update(), _record(0))
    list(coalescer.due(0.0))
    coalescer.add(_update(), _record(1))
    assert not list(coalescer.due(100.0))


def test_a_newer_one_takes_the_place_of_the_one_that_waits() -> None:
    """The older record is settled at once, its details are kept if the newer one has none."""
    coalescer = Coalescer()
    coalescer.add(_update(b"1"), _record(0))
    assert coalescer.add(_update(), _record(1)) == _record(0)
    ((kept, its_record),) = coalescer.due(0.0)
    assert (kept.report.details, its_record) == (b"1", _record(1))


def test_an_older_attempt_takes_nobodys_place() -> None:
    """It was given up already."""
    coalescer = Coalescer()
    coalescer.add(_update(attempt=2), _record(0))
    assert coalescer.add(_update(attempt=1), _record(1)) == _record(1)


def test_what_failed_waits_with_what_came_meanwhile() -> None:
    """One record is held back per task, whatever happens to Restate."""
    coalescer = Coalescer()
    coalescer.add(_update(b"1"), _record(0))
    ((sent, its_record),) = coalescer.due(0.0)
    coalescer.add(_update(), _record(1))
    assert coalescer.failed(sent, its_record, again_at=3.0) == _record(0)
    assert not list(coalescer.due(2.9))
    ((again, newer),) = coalescer.due(3.0)
    assert (again.report.details, newer) == (b"1", _record(1))


def test_what_failed_alone_goes_again() -> None:
    """It is not lost."""
    coalescer = Coalescer()
    coalescer.add(_update(), _record(0))
    list(coalescer.due(0.0))
    assert coalescer.failed(_update(), _record(0), again_at=1.0) is None
    assert [each for _, each in coalescer.due(1.0)] == [_record(0)]


def test_silent_tasks_are_forgotten() -> None:
    """A bridge runs for months."""
    coalescer = Coalescer()
    for number in range(1000):
        each = _update(task=TaskId(f"{number:016}"))
        coalescer.add(each, _record(number))
        list(coalescer.due(0.0))
        coalescer.sent(each, 0.0)
    list(coalescer.due(1_000.0))
    assert len(coalescer) == 0
