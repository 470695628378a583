"""When Restate counts as away."""

from __future__ import annotations

from kallback.bridge import Backoff
from kallback.bridge.dispatch.circuit_breaker import CircuitBreaker, CircuitState


def away(backoff: Backoff | None = None) -> CircuitBreaker:
    """A breaker that has just decided that Restate is unavailable, at time 0."""
    breaker = CircuitBreaker(backoff or Backoff(first=1.0, longest=8.0), unavailable_after=2)
    breaker.failed("a", 0.0, 1.0, probe=False)
    breaker.failed("b", 0.0, 1.0, probe=False)
    return breaker


def test_one_poison_record_is_no_outage() -> None:
    """The same record may fail as often as it likes."""
    breaker = CircuitBreaker(Backoff(), unavailable_after=2)
    assert not any(breaker.failed("a", 0.0, 0.0, probe=False) for _ in range(100))
    assert breaker.state is CircuitState.CLOSED


def test_different_records_failing_in_a_row_are_an_outage() -> None:
    """The change is told once."""
    breaker = CircuitBreaker(Backoff(), unavailable_after=2)
    assert [breaker.failed(each, 0.0, 0.0, probe=False) for each in "abc"] == [False, True, False]


def test_a_success_in_between_is_no_outage() -> None:
    """The count begins anew."""
    breaker = CircuitBreaker(Backoff(), unavailable_after=2)
    breaker.failed("a", 0.0, 0.0, probe=False)
    breaker.succeeded()
    assert not breaker.failed("b", 0.0, 0.0, probe=False)


def test_one_probe_at_a_time_after_the_wait() -> None:
    """While away, a yes is given once."""
    breaker = away()
    assert [breaker.admits(0.5), breaker.admits(1.0), breaker.admits(1.0)] == [False, True, False]


def test_a_probe_without_an_answer_is_followed_by_others() -> None:
    """A request for a part of Restate without a leader is held: it must not keep the bridge from asking the others."""
    breaker = away()
    assert [now for now in (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 9.0) if breaker.admits(now)] == [1.0, 1.5, 2.0, 2.5]


def test_the_failure_of_a_probe_makes_room_for_another_one() -> None:
    """Not at once: it waits as after any failure."""
    breaker = away()
    for now in (1.0, 1.5, 2.0, 2.5):
        breaker.admits(now)
    breaker.failed("x", 3.0, 1.0, probe=True)
    assert [breaker.admits(4.9), breaker.admits(5.0), breaker.admits(9.0)] == [False, True, False]


def test_failed_probes_wait_longer_up_to_the_limit() -> None:
    """1, 2, 4, 8, 8 seconds."""
    breaker = away()
    waits = [breaker.until_probe(0.0)]
    for _ in range(4):
        breaker.failed("x", 0.0, 1.0, probe=True)
        waits.append(breaker.until_probe(0.0))
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_failures_of_what_was_on_its_way_do_not_lengthen_the_wait() -> None:
    """Sixty-four failures at one moment are one outage."""
    breaker = away()
    breaker.failed("c", 0.0, 1.0, probe=False)
    assert breaker.until_probe(0.0) == 1.0


def test_a_success_ends_the_outage() -> None:
    """It is told once, and the wait begins small the next time."""
    breaker = away()
    assert [breaker.succeeded(), breaker.succeeded()] == [True, False]
    assert breaker.state is CircuitState.CLOSED
    breaker.failed("a", 0.0, 1.0, probe=False)
    breaker.failed("b", 0.0, 1.0, probe=False)
    assert breaker.until_probe(0.0) == 1.0


def test_jitter_keeps_half_of_the_wait() -> None:
    """Many bridges do not come back in step."""
    backoff = Backoff(first=1.0, longest=8.0)
    assert [backoff.delay(2, chance) for chance in (0.0, 0.5)] == [1.0, 1.5]
