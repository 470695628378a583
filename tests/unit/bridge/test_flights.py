"""What a bridge remembers of tokens."""

from __future__ import annotations

from typing import Any

from kallback.bridge import Completion, Seen
from kallback.bridge.in_flight.deliveries import Delivery, FetchedRecord, InFlightDeliveries
from kallback.protocol import Completed


def delivery(mint: Any, identity: str) -> Delivery:
    """A delivery called `identity`."""
    token = mint.token()
    fetched = FetchedRecord(mint.received(mint.completed()), None)  # type: ignore[arg-type] # no consumer is called
    return Delivery(fetched, identity, Completion("text", token, Completed(b"1")))


def test_a_token_is_new_then_in_flight_then_delivered(mint: Any) -> None:
    """The three things that can be known of a token."""
    deliveries = InFlightDeliveries(10)
    one = delivery(mint, "one")

    seen = [deliveries.seen("one")]
    deliveries.open(one)
    seen.append(deliveries.seen("one"))
    deliveries.delivered(one)
    seen.append(deliveries.seen("one"))

    assert seen == [Seen.NEW, Seen.IN_FLIGHT, Seen.DELIVERED]


def test_one_that_was_dropped_is_new_again(mint: Any) -> None:
    """Later duplicates are judged for themselves."""
    deliveries = InFlightDeliveries(10)
    one = delivery(mint, "one")
    deliveries.open(one)
    deliveries.dropped(one)
    assert deliveries.seen("one") is Seen.NEW


def test_the_window_forgets_the_oldest(mint: Any) -> None:
    """Memory is bounded, however much is delivered."""
    deliveries = InFlightDeliveries(2)
    for name in ("a", "b", "c"):
        one = delivery(mint, name)
        deliveries.open(one)
        deliveries.delivered(one)
    assert [deliveries.seen(name) for name in "abc"] == [Seen.NEW, Seen.DELIVERED, Seen.DELIVERED]
