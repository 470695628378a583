"""Bounded memory for repeated things: log lines and recent keys."""

import pytest

from kallback.lifecycle import LogThrottle, RecentKeys
from kallback.settings import named_log


def test_a_repeated_event_is_logged_once_per_interval(caplog: pytest.LogCaptureFixture) -> None:
    """The next line of a kind says how many were left out."""
    now = [0.0]
    throttle = LogThrottle(named_log("kallback.test"), lambda: now[0], interval=10)
    for _ in range(3):
        throttle.warning("Kafka produce failed", kind="kafka")
    throttle.error("Restate unavailable", kind="restate")
    now[0] = 10.0
    throttle.warning("Kafka produce failed", kind="kafka")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "Kafka produce failed kind='kafka'",
        "Restate unavailable kind='restate'",
        "Kafka produce failed kind='kafka' left_out=2",
    ]


def test_the_oldest_key_is_forgotten_first() -> None:
    """A window of two keys forgets the first of three."""
    window = RecentKeys[str](2)
    for key in ("a", "b", "c"):
        window.add(key)
    assert ("a" in window, "b" in window, "c" in window, len(window)) == (False, True, True, 2)


def test_a_key_that_comes_again_is_the_newest() -> None:
    """Adding a key twice keeps it longer."""
    window = RecentKeys[str](2)
    for key in ("a", "b", "a", "c"):
        window.add(key)
    assert ("a" in window, "b" in window) == (True, False)


def test_a_key_can_be_forgotten() -> None:
    """A discarded key counts as new; discarding twice is fine."""
    window = RecentKeys[str](2)
    window.add("a")
    window.discard("a")
    window.discard("a")
    assert "a" not in window
