"""Which failed commits are worth a warning."""

from __future__ import annotations

import logging

import pytest

from kallback.kafka.offsets.commit_failures import CommitFailures
from kallback.settings import named_log


class Failures(CommitFailures):
    """Those of a consumer in simulated time."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(named_log("kallback.test"), lambda: self.now)

    def refused(self, *, at: float) -> None:
        """In a rebalance."""
        self.now = at
        self.failed("ILLEGAL_GENERATION", in_rebalance=True)


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Quiet ones, too."""
    caplog.set_level(logging.INFO)


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of the lines so far."""
    return [record.levelname for record in caplog.records]


def test_one_that_a_rebalance_overtook_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost by it, and the line says so."""
    Failures().refused(at=0)
    assert levels(caplog) == ["INFO"]
    assert "nothing is lost" in caplog.text


def test_one_that_failed_otherwise_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """What follows depends on whether its partitions stay."""
    failures = Failures()
    failures.failed("no broker")
    failures.failed("no broker", leaving=True)
    assert levels(caplog) == ["WARNING"] * 2
    assert "the next one covers it" in caplog.messages[0]
    assert "done again by the new owner" in caplog.messages[1]


def test_an_outage_is_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """It may last for hours, and a commit is tried each second; the line says how many were left out."""
    failures = Failures()
    for second in range(121):
        failures.now = second
        failures.failed("no broker")
        failures.unavailable("no broker")
    assert levels(caplog) == ["WARNING"] * 6


def test_a_rebalance_that_does_not_end_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing has been committed for a minute and a half."""
    failures = Failures()
    for at in (0, 30, 60, 89, 90):
        failures.refused(at=at)
    assert levels(caplog) == ["INFO"] * 4 + ["WARNING"]


@pytest.mark.parametrize("between", ["a commit", "quiet hours"])
def test_the_next_rebalance_begins_anew(caplog: pytest.LogCaptureFixture, between: str) -> None:
    """A commit between them, or no need for one."""
    failures = Failures()
    failures.refused(at=0)
    if between == "a commit":
        failures.taken()
    failures.refused(at=20 if between == "a commit" else 3600)
    failures.refused(at=49 if between == "a commit" else 3620)
    failures.refused(at=95 if between == "a commit" else 3689)
    assert levels(caplog) == ["INFO"] * 4
