"""The tokens that this bridge knows: in flight, with the copies that attached to them, and lately delivered."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from kallback.bridge.results.completion import Completion
from kallback.bridge.results.decide import Seen
from kallback.bridge.results.verify import Target
from kallback.kafka import Consumer, Record


class Setback(Enum):
    """What the failure of a record says."""

    FRESH = auto()
    """Perhaps Restate is away: nothing was accepted since the record's last failure, or it is its first one."""
    OWN = auto()
    """Others were accepted since its last failure: the record's own trouble, that says nothing of Restate."""
    GIVEN_UP = auto()
    """It has had its time, and is settled."""


class Patience:
    """How long one record was passed over: seconds, and how often."""

    __slots__ = ("accepted", "failed_at", "passed_over", "times")

    def __init__(self) -> None:
        self.passed_over = 0.0
        self.times = 0
        self.failed_at: float | None = None
        self.accepted = 0


class Arrival:
    """A record with the consumer that handed it out: only that one may be told that it is done.

    A consumer that broke down is replaced by another, whose epochs say nothing of the first one's records.

    Attributes:
        since: when it was fetched, on the monotonic clock.
    """

    __slots__ = ("consumer", "record", "since", "size")

    def __init__(self, record: Record, consumer: Consumer, since: float = 0.0) -> None:
        self.record = record
        self.consumer = consumer
        self.since = since
        self.size = len(record.value or b"")


class Flight:
    """One token on its way to Restate.

    Attributes:
        arrival: the record that opened it.
        completion: what is posted; replaced by a failure when the result turns out to be unusable.
        copies: records with the same token that came meanwhile, and what they complete.
        failures: how often Restate did not take it.
        patience: how long it was passed over; kept from its first failure on.
        unusable: reason and detail, if what is posted stands in for an unusable result.
    """

    __slots__ = ("arrival", "completion", "copies", "failures", "identity", "patience", "unusable")

    def __init__(
        self, arrival: Arrival, identity: str, completion: Completion, unusable: tuple[str, str] | None = None
    ) -> None:
        self.arrival = arrival
        self.identity = identity
        self.completion = completion
        self.unusable = unusable
        self.copies: list[tuple[Arrival, Target]] = []
        self.failures = 0
        self.patience: Patience | None = None


class Flights:
    """Flights by token identity, and a bounded window of what was delivered: oldest entries go first.

    Args:
        window: how many delivered tokens are remembered.
    """

    __slots__ = ("_delivered", "_in_flight", "_order", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._delivered: set[str] = set()
        self._order: deque[str] = deque()
        self._in_flight: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    def seen(self, identity: str) -> Seen:
        """What is known of a token."""
        if identity in self._in_flight:
            return Seen.IN_FLIGHT
        return Seen.DELIVERED if identity in self._delivered else Seen.NEW

    def open(self, flight: Flight) -> None:
        """A token takes off."""
        self._in_flight[flight.identity] = flight

    def attach(self, identity: str, copy: Arrival, target: Target) -> None:
        """A copy shares the fate of the one in flight."""
        self._in_flight[identity].copies.append((copy, target))

    def delivered(self, flight: Flight) -> None:
        """Restate accepted it: later copies are duplicates."""
        del self._in_flight[flight.identity]
        self._delivered.add(flight.identity)
        self._order.append(flight.identity)
        if len(self._order) > self._window:
            self._delivered.discard(self._order.popleft())

    def dropped(self, flight: Flight) -> None:
        """It ended without a delivery: later copies are judged anew."""
        del self._in_flight[flight.identity]
