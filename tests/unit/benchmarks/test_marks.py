"""How a run learns that an awakeable was completed."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import marks


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> marks.Marks:
    """A reader, and the variable that tells writers where to write."""
    monkeypatch.setenv(marks.VARIABLE, str(tmp_path / "marks"))
    return marks.Marks(tmp_path / "marks")


def test_a_waiting_handler_says_its_awakeable(found: marks.Marks) -> None:
    """The id goes into the record that completes it."""
    marks.leave(marks.WAITS, "m1", "sign_1x")
    assert found.awakeables(["m1"]) == {"m1": "sign_1x"}


def test_a_span_reaches_from_the_first_to_the_last(found: marks.Marks) -> None:
    """In the order of their times, not of their lines."""
    for name, at in (("m1", "5.5"), ("m2", "2.5"), ("m3", "4.0")):
        marks.leave(marks.DONE, name, at)
    assert found.span(["m1", "m2", "m3"], 1) == (2.5, 5.5)


def test_the_first_completion_counts(found: marks.Marks) -> None:
    """A replayed handler says it again."""
    marks.leave(marks.DONE, "m1", "1.0")
    marks.leave(marks.DONE, "m1", "9.0")
    assert found.completed() == {"m1": 1.0}


def test_half_a_line_waits_for_its_end(found: marks.Marks, tmp_path: Path) -> None:
    """Another process is writing it."""
    with (tmp_path / "marks").open("a") as file:
        file.write("done m1 1")
        file.flush()
        assert found.completed() == {}
        file.write("2.5\n")
    assert found.completed() == {"m1": 12.5}


def test_waiting_says_for_what(found: marks.Marks) -> None:
    """A run that hangs names the reason."""
    with pytest.raises(TimeoutError, match=r"waited 0 s for the marked records to be completed"):
        found.span(["m1"], 0)
