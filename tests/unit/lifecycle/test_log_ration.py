"""Lines of libraries are rationed; nothing is lost without a count."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator

import pytest

from kallback.lifecycle import LogRation


class Rationed:
    """A handler with a ration, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[Callable[[], None]] = []
        self.lines: list[str] = []
        self.handler = logging.Handler()
        self.handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]  # collects
        ration = LogRation(
            ["lib"],
            interval=60,
            monotonic=lambda: self.now,
            call_later=lambda _delay, function: self.due.append(function),
        )
        self.handler.addFilter(ration)

    def pass_interval(self) -> None:
        """Let the interval end."""
        self.now += 60
        due, self.due = self.due, []
        for each in due:
            each()


@pytest.fixture
def rationed() -> Generator[Rationed]:
    """The root logger writes through it."""
    rationed = Rationed()
    logging.getLogger().addHandler(rationed.handler)
    yield rationed
    logging.getLogger().removeHandler(rationed.handler)


def test_the_first_line_is_written_and_the_others_are_counted(rationed: Rationed) -> None:
    """Also though nothing is logged after them."""
    for node in range(1700):
        logging.getLogger("lib.conn").error("no connection to %s", node)
    assert rationed.lines == ["no connection to 0"]
    rationed.pass_interval()
    assert rationed.lines[1:] == ["1699 lines like this were left out in 60 s: no connection to 1"]


def test_a_summary_of_one_line_is_in_the_singular(rationed: Rationed) -> None:
    """People read it."""
    for _ in range(2):
        logging.getLogger("lib.conn").error("no connection")
    rationed.pass_interval()
    assert rationed.lines[1:] == ["1 line like this was left out in 60 s: no connection"]


def test_a_line_whose_arguments_do_not_fit_is_counted(rationed: Rationed) -> None:
    """The summary has its text as it is."""
    for _ in range(3):
        rationed.handler.filter(logging.makeLogRecord({"name": "lib", "levelno": 40, "msg": "%d", "args": ("a",)}))
    rationed.pass_interval()
    assert rationed.lines == ["2 lines like this were left out in 60 s: %d"]


def test_another_text_level_or_logger_is_another_kind(rationed: Rationed) -> None:
    """A new kind of trouble is seen at once."""
    logging.getLogger("lib").error("a")
    logging.getLogger("lib").error("b")
    logging.getLogger("lib").warning("a")
    logging.getLogger("lib.x").error("a")
    assert rationed.lines == ["a", "b", "a", "a"]


def test_numbers_in_a_text_make_no_kind(rationed: Rationed) -> None:
    """Some libraries format before they log."""
    logging.getLogger("lib").error("node 1")
    logging.getLogger("lib").error("node 22")
    assert rationed.lines == ["node 1"]


def test_lines_of_others_pass(rationed: Rationed) -> None:
    """Ours are rationed where they are written, the user's are the user's."""
    for _ in range(3):
        logging.getLogger("library").error("x")
    assert rationed.lines == ["x", "x", "x"]


def test_a_single_line_has_no_summary(rationed: Rationed) -> None:
    """Nothing was left out."""
    logging.getLogger("lib").error("x")
    rationed.pass_interval()
    assert rationed.lines == ["x"]


def test_the_memory_is_bounded(rationed: Rationed) -> None:
    """A library whose text always differs does not fill it."""
    for number in range(1000):
        logging.getLogger("lib").error("x%s", "y" * 3 if number % 2 else "", extra={})
        logging.getLogger("lib").error("".join(chr(ord("a") + int(digit)) for digit in str(number)))
    (ration,) = (each for each in rationed.handler.filters if isinstance(each, LogRation))
    assert len(ration._until) <= 200


def test_without_a_thread_for_the_count_lines_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shortage of threads neither fails the library that logs, nor loses a line."""

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ration = LogRation(["lib"])
    line = logging.makeLogRecord({"name": "lib", "levelno": logging.ERROR, "msg": "no connection"})
    assert [ration.filter(line) for _ in range(3)] == [True, True, True]
