"""How the number under way follows crowds."""

from __future__ import annotations

import pytest

from kallback.bridge.dispatch.concurrency import ConcurrencyLimiter


def test_it_begins_at_the_maximum() -> None:
    """There is no crowd until one shows."""
    assert ConcurrencyLimiter(64).limit == 64


def test_overload_halves() -> None:
    """Half of what went out before."""
    limiter = ConcurrencyLimiter(64)
    limiter.overloaded(limiter.generation)
    assert limiter.limit == 32


def test_a_burst_halves_once() -> None:
    """What was sent before a decrease says nothing of its effect."""
    limiter = ConcurrencyLimiter(64)
    sent_in = limiter.generation
    for _ in range(64):
        limiter.overloaded(sent_in)
    assert limiter.limit == 32
    limiter.overloaded(limiter.generation)
    assert limiter.limit == 16


def test_one_is_always_left() -> None:
    """Nobody would learn that the crowd is gone."""
    limiter = ConcurrencyLimiter(3)
    for _ in range(9):
        limiter.overloaded(limiter.generation)
    assert limiter.limit == 1


@pytest.mark.parametrize("maximum", [2, 7, 64])
def test_successes_raise_it_to_the_maximum_and_no_further(maximum: int) -> None:
    """A round of successes adds one, so all is back after a few rounds."""
    limiter = ConcurrencyLimiter(maximum)
    limiter.overloaded(limiter.generation)
    for _ in range(maximum * maximum):
        limiter.succeeded()
    assert limiter.limit == maximum


def test_a_round_of_successes_adds_about_one() -> None:
    """Not more: a crowd would be back at once."""
    limiter = ConcurrencyLimiter(64)
    limiter.overloaded(limiter.generation)
    for _ in range(33):
        limiter.succeeded()
    assert limiter.limit == 33
