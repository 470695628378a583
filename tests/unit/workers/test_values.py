"""Small values: contexts, failures, cancels, options, delays."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from kallback.protocol import (
    Attempt,
    Cancel,
    CancelReason,
    ConfigurationError,
    GiveUp,
    Problem,
    RetryAfter,
    RetryPolicy,
    TaskId,
)
from kallback.workers import TaskContext, TaskFailure, WorkerOptions
from kallback.workers.cancel_memory import CancelMemory
from kallback.workers.context import deadline_of
from kallback.workers.errors import encode_problem, failure_of, problem_of

NOW = 1_000_000.0


def cancel(task_id: str, *, attempt: int | None = None, at: float = NOW) -> Cancel:
    """A cancel."""
    return Cancel(
        TaskId(task_id), CancelReason.CANCELLED, int(at * 1000), None if attempt is None else Attempt(attempt)
    )


def memory(kept: int = 10, age: float = 60) -> CancelMemory:
    """A memory whose clock stands at NOW."""
    return CancelMemory(kept, age, lambda: NOW)


def test_time_left_ends_at_zero() -> None:
    """A deadline that is past leaves no time, not a negative one."""
    past = TaskContext("t", deadline=datetime.fromtimestamp(99, UTC), clock=lambda: 100.0)
    future = TaskContext("t", deadline=datetime.fromtimestamp(107.5, UTC), clock=lambda: 100.0)

    assert (past.time_left(), future.time_left(), TaskContext("t").time_left()) == (0.0, 7.5, None)


def test_log_lines_name_the_task(caplog: pytest.LogCaptureFixture) -> None:
    """Message and fields say which task, attempt and type; what the caller adds is kept."""
    TaskContext("t1", attempt=2, task_type="prepare").log.warning("%s is hot", "soup", extra={"oven": 3})

    (line,) = caplog.records
    assert line.getMessage() == "[prepare:t1:2] soup is hot"
    assert (line.__dict__["task_id"], line.__dict__["attempt"], line.__dict__["oven"]) == ("t1", 2, 3)


def test_a_hostile_task_id_cannot_break_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks and format characters from a header do not reach the message."""
    caplog.set_level(logging.INFO)
    TaskContext("%s\nroot logged in", task_type="p").log.info("begun %d", 1)

    assert caplog.records[0].getMessage() == "[p:??root?logged?in:1] begun 1".replace("??", "?s?")


def test_a_deadline_beyond_the_calendar_counts_as_none() -> None:
    """A header with 15 digits does not break the run."""
    assert deadline_of(999_999_999_999_999) is None
    assert deadline_of(None) is None


def test_a_failure_refuses_a_status_of_success() -> None:
    """200 is no failure; the error says what is."""
    with pytest.raises(ValueError, match="400 to 599"):
        TaskFailure("Odd", status=200)


def test_a_failure_refuses_a_type_of_kallback() -> None:
    """Callers act on these: a function that said it hands back would be repeated, uncounted, until the deadline."""
    own = "urn:kallback:handed-back"
    with pytest.raises(ValueError, match="use a type of yours"):
        TaskFailure(own)
    assert failure_of(Problem(own)).problem.type == own


def test_a_failure_takes_a_delay_as_a_timedelta() -> None:
    """As everywhere else; it travels in seconds."""
    failure = TaskFailure("OvenCold", retryable=True, retry_after=timedelta(minutes=2))

    assert orjson.loads(failure.problem.encode())["retry_after"] == 120


class UnprintableError(Exception):
    """An exception that cannot show itself."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("no basil"), "ValueError: no basil"),
        (ValueError(), "ValueError"),
        (UnprintableError(), "UnprintableError: (its text cannot be had)"),
        (OSError("file \udc80"), "OSError: file \\udc80"),
    ],
)
def test_any_exception_becomes_a_sentence(error: Exception, detail: str) -> None:
    """Class and message, whatever the exception does."""
    problem = problem_of(error, expose_tracebacks=False)

    assert problem.detail == detail
    assert orjson.loads(encode_problem(problem))["detail"] == detail


def test_a_long_message_is_cut() -> None:
    """A message of a megabyte does not become a result of a megabyte."""
    assert len(problem_of(ValueError("x" * 1_000_000), expose_tracebacks=False).detail) < 3_000


@pytest.mark.parametrize("value", [object(), "\udc80", {1: object()}])
def test_extensions_that_are_no_json_are_left_out(value: Any) -> None:
    """The failure reaches the caller all the same, and says so."""
    encoded = encode_problem(Problem(type="OutOfStock", status=422, detail="no basil", extensions={"what": value}))

    members = orjson.loads(encoded)
    assert (members["type"], members["status"]) == ("OutOfStock", 422)
    assert members["detail"].startswith("no basil (left out what is no JSON")


def test_a_cancel_of_all_attempts_covers_each() -> None:
    """None means every attempt, also those to come."""
    cancels = memory()
    cancels.remember(cancel("t"))

    assert cancels.find(TaskId("t"), Attempt(9)) is not None
    assert cancels.find(TaskId("u"), Attempt(9)) is None


@pytest.mark.parametrize("attempts", [(1, 3), (3, 1)])
def test_the_widest_cancel_of_a_task_is_kept(attempts: tuple[int, int]) -> None:
    """Cancels of several attempts arrive in any order."""
    cancels = memory()
    for attempt in attempts:
        cancels.remember(cancel("t", attempt=attempt))

    assert cancels.find(TaskId("t"), Attempt(3)) is not None
    assert cancels.find(TaskId("t"), Attempt(4)) is None


def test_the_oldest_cancels_are_forgotten_first() -> None:
    """The memory is bounded by number."""
    cancels = memory(kept=2)
    for task_id in "abc":
        cancels.remember(cancel(task_id))

    assert len(cancels) == 2
    assert cancels.find(TaskId("a"), Attempt(1)) is None


def test_a_cancel_is_forgotten_with_age() -> None:
    """The memory is bounded by age, wherever the old one stands."""
    cancels = memory(age=60)
    cancels.remember(cancel("new"))
    cancels.remember(cancel("old", at=NOW - 61))

    assert cancels.find(TaskId("old"), Attempt(1)) is None
    assert cancels.find(TaskId("new"), Attempt(1)) is not None


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"drain_timeout": -1}, {"finished_kept": 0}, {"cancels_kept": 0}, {"retry_delay": 0}],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    """The sentence names the option."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        WorkerOptions(**options)


class ShelfError(LookupError):
    """An exception with bases of its own."""


class BasilError(ShelfError, ValueError):
    """One with several."""


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (BasilError("none"), ["BasilError", "ShelfError", "LookupError", "ValueError"]),
        (Exception("bare"), []),
    ],
)
def test_an_unexpected_error_names_its_classes(error: Exception, names: list[str]) -> None:
    """Most special first, so that a retry policy can name any of them; retryable is left to that policy."""
    problem = problem_of(error, expose_tracebacks=False)

    assert (problem.extensions["exception"], problem.retryable) == (names, None)


@pytest.mark.parametrize("never", ["BasilError", "ValueError"])
def test_a_retry_policy_understands_these_names(never: str) -> None:
    """The two sides fit together."""
    problem = problem_of(BasilError("none"), expose_tracebacks=False)

    assert isinstance(RetryPolicy(never={never}).after(Attempt(1), problem), GiveUp)
    assert isinstance(RetryPolicy(never={"KeyError"}).after(Attempt(1), problem), RetryAfter)
