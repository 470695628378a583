"""The tokens that this bridge knows: in flight, with the duplicates attached to them, and recently delivered."""

from __future__ import annotations

from kallback.bridge.in_flight.parking import RetryBudget
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.results.completion import Completion
from kallback.bridge.results.decide import Seen
from kallback.lifecycle import RecentKeys
from kallback.protocol.verification import Target


class Delivery:
    """The completion of one token, on its way to Restate.

    Attributes:
        fetched: the record that it was made of.
        completion: what is sent; replaced by a failure when the result turns out to be unusable.
        duplicates: records with the same token that were fetched meanwhile, each with its target.
        failures: attempts that Restate did not accept.
        retry_budget: how long it failed while others succeeded; None before its first failure.
        unusable: reason and detail, if the completion replaces an unusable result.
        accepted: Restate has it, and its dead letter is on its way; duplicates need not wait for that.
    """

    __slots__ = ("accepted", "completion", "duplicates", "failures", "fetched", "identity", "retry_budget", "unusable")

    def __init__(
        self, fetched: FetchedRecord, identity: str, completion: Completion, unusable: tuple[str, str] | None = None
    ) -> None:
        self.fetched = fetched
        self.identity = identity
        self.completion = completion
        self.unusable = unusable
        self.duplicates: list[tuple[FetchedRecord, Target]] = []
        self.accepted = False
        self.failures = 0
        self.retry_budget: RetryBudget | None = None

    def take_copies(self) -> list[tuple[FetchedRecord, Target]]:
        """Return the duplicates, without this very record, fetched again: they are not attached any more."""
        own, copies = list[tuple[FetchedRecord, Target]](), list[tuple[FetchedRecord, Target]]()
        for each in self.duplicates:
            (own if _position(each[0]) == _position(self.fetched) else copies).append(each)
        self.duplicates = own
        return copies


class InFlightDeliveries:
    """Deliveries by token identity, and a bounded window of the tokens that were delivered.

    Args:
        window: number of delivered tokens that are remembered; the oldest is forgotten first.
    """

    __slots__ = ("_delivered", "_in_flight")

    def __init__(self, window: int) -> None:
        self._delivered: RecentKeys[str] = RecentKeys(window)
        self._in_flight: dict[str, Delivery] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    def seen(self, identity: str) -> Seen:
        """Return what is known of a token."""
        if identity in self._in_flight:
            return Seen.IN_FLIGHT
        return Seen.DELIVERED if identity in self._delivered else Seen.NEW

    def add(self, delivery: Delivery) -> None:
        """Remember a delivery until `delivered` or `dropped`."""
        self._in_flight[delivery.identity] = delivery

    def attach(self, identity: str, duplicate: FetchedRecord, target: Target) -> Delivery:
        """Attach a duplicate to the delivery in flight, whose outcome it shares; return the delivery."""
        delivery = self._in_flight[identity]
        delivery.duplicates.append((duplicate, target))
        return delivery

    def delivered(self, delivery: Delivery) -> None:
        """Remember that Restate accepted it: later records with its token are duplicates."""
        del self._in_flight[delivery.identity]
        self._delivered.add(delivery.identity)

    def dropped(self, delivery: Delivery) -> None:
        """Forget a delivery that Restate did not accept: later records with its token are decided anew."""
        del self._in_flight[delivery.identity]


def _position(fetched: FetchedRecord) -> tuple[str, int, int]:
    record = fetched.record
    return record.topic, record.partition, record.offset
