"""What a bridge remembers of tokens."""

from __future__ import annotations

import msgspec
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Completion, Seen
from kallback.bridge.in_flight.deliveries import Delivery, InFlightDeliveries
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.protocol import Completed


def delivery(make: RecordFactory, identity: str) -> Delivery:
    """A delivery called `identity`."""
    token = make.token()
    fetched = FetchedRecord(make.received(make.completed()), None)  # type: ignore[arg-type] # no consumer is called
    return Delivery(fetched, identity, Completion("text", token, Completed(b"1")))


def test_a_token_is_new_then_in_flight_then_delivered(make: RecordFactory) -> None:
    """The three things that can be known of a token."""
    deliveries = InFlightDeliveries(10)
    one = delivery(make, "one")

    seen = [deliveries.seen("one")]
    deliveries.add(one)
    seen.append(deliveries.seen("one"))
    deliveries.delivered(one)
    seen.append(deliveries.seen("one"))

    assert seen == [Seen.NEW, Seen.IN_FLIGHT, Seen.DELIVERED]


def test_one_that_was_dropped_is_new_again(make: RecordFactory) -> None:
    """Later duplicates are decided for themselves."""
    deliveries = InFlightDeliveries(10)
    one = delivery(make, "one")
    deliveries.add(one)
    deliveries.dropped(one)
    assert deliveries.seen("one") is Seen.NEW


def test_the_window_forgets_the_oldest(make: RecordFactory) -> None:
    """Memory is bounded, however much is delivered."""
    deliveries = InFlightDeliveries(2)
    for name in ("a", "b", "c"):
        one = delivery(make, name)
        deliveries.add(one)
        deliveries.delivered(one)
    assert [deliveries.seen(name) for name in "abc"] == [Seen.NEW, Seen.DELIVERED, Seen.DELIVERED]


def test_the_same_record_fetched_again_is_no_copy(make: RecordFactory) -> None:
    """It must not be done before the dead letter of its delivery is durable; copies at other positions may be."""
    one = delivery(make, "one")
    again = FetchedRecord(one.fetched.record, None)  # type: ignore[arg-type] # as above
    record = msgspec.structs.replace(one.fetched.record, offset=one.fetched.record.offset + 1)
    copy = FetchedRecord(record, None)  # type: ignore[arg-type] # as above
    target = one.completion.target
    one.duplicates = [(again, target), (copy, target)]
    assert one.take_copies() == [(copy, target)]
    assert one.duplicates == [(again, target)]
