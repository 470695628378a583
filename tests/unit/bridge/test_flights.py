"""What a bridge remembers of tokens."""

from __future__ import annotations

from typing import Any

from kallback.bridge import Completion, Seen
from kallback.bridge.in_flight.deliveries import Arrival, Flight, Flights
from kallback.protocol import Completed


def flight(mint: Any, identity: str) -> Flight:
    """A flight called `identity`."""
    token = mint.token()
    arrival = Arrival(mint.received(mint.completed()), None)  # type: ignore[arg-type] # no consumer is called
    return Flight(arrival, identity, Completion("text", token, Completed(b"1")))


def test_a_token_is_new_then_in_flight_then_delivered(mint: Any) -> None:
    """The three things that can be known of a token."""
    flights = Flights(10)
    one = flight(mint, "one")

    seen = [flights.seen("one")]
    flights.open(one)
    seen.append(flights.seen("one"))
    flights.delivered(one)
    seen.append(flights.seen("one"))

    assert seen == [Seen.NEW, Seen.IN_FLIGHT, Seen.DELIVERED]


def test_one_that_was_dropped_is_new_again(mint: Any) -> None:
    """Later copies are judged for themselves."""
    flights = Flights(10)
    one = flight(mint, "one")
    flights.open(one)
    flights.dropped(one)
    assert flights.seen("one") is Seen.NEW


def test_the_window_forgets_the_oldest(mint: Any) -> None:
    """Memory is bounded, however much is delivered."""
    flights = Flights(2)
    for name in ("a", "b", "c"):
        one = flight(mint, name)
        flights.open(one)
        flights.delivered(one)
    assert [flights.seen(name) for name in "abc"] == [Seen.NEW, Seen.DELIVERED, Seen.DELIVERED]
