"""What is made of the calls of one way."""

from __future__ import annotations

from benchmarks.figures import TRIP_FIGURES
from benchmarks.roundtrips import Calls, trip_figures


def test_the_slowest_calls_are_seen() -> None:
    """Four slow calls of 2,000 are not in p99; p99.9 and the maximum tell them."""
    calls = Calls(took_s=4.0, latencies_s=[0.010] * 1_996 + [0.500] * 3 + [0.900], repeated=3)
    assert trip_figures(calls) == {
        "per_s": 500.0,
        "p50_ms": 10.0,
        "p99_ms": 10.0,
        "p999_ms": 500.0,
        "max_ms": 900.0,
        "repeated": 3,
    }


def test_every_figure_of_a_round_trip_has_its_row() -> None:
    """A figure that no table shows would be measured in vain."""
    assert tuple(trip_figures(Calls(1.0, [0.1], 0))) == TRIP_FIGURES
