"""How the number under way follows crowds."""

from __future__ import annotations

import pytest

from kallback.bridge.dispatch.concurrency import Pace


def test_it_begins_at_the_maximum() -> None:
    """There is no crowd until one shows."""
    assert Pace(64).limit == 64


def test_a_crowd_halves() -> None:
    """Half of what went out before."""
    pace = Pace(64)
    pace.crowded(pace.era)
    assert pace.limit == 32


def test_a_burst_halves_once() -> None:
    """What was sent before a decrease says nothing of its effect."""
    pace = Pace(64)
    sent_in = pace.era
    for _ in range(64):
        pace.crowded(sent_in)
    assert pace.limit == 32
    pace.crowded(pace.era)
    assert pace.limit == 16


def test_one_is_always_left() -> None:
    """Nobody would learn that the crowd is gone."""
    pace = Pace(3)
    for _ in range(9):
        pace.crowded(pace.era)
    assert pace.limit == 1


@pytest.mark.parametrize("maximum", [2, 7, 64])
def test_successes_raise_it_to_the_maximum_and_no_further(maximum: int) -> None:
    """A round of successes adds one, so all is back after a few rounds."""
    pace = Pace(maximum)
    pace.crowded(pace.era)
    for _ in range(maximum * maximum):
        pace.succeeded()
    assert pace.limit == maximum


def test_a_round_of_successes_adds_about_one() -> None:
    """Not more: a crowd would be back at once."""
    pace = Pace(64)
    pace.crowded(pace.era)
    for _ in range(33):
        pace.succeeded()
    assert pace.limit == 33
