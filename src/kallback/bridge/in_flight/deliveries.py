"""The tokens that this bridge knows: in flight, with the duplicates that attached to them, and lately delivered."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

from kallback.bridge.results.completion import Completion
from kallback.bridge.results.decide import Seen
from kallback.bridge.results.verify import Target
from kallback.kafka import Consumer, Record


class FailureKind(Enum):
    """What the failure of a record says."""

    UNKNOWN = auto()
    """Perhaps Restate is away: nothing was accepted since the record's last failure, or it is its first one."""
    RECORD = auto()
    """Others were accepted since its last failure: the record's own trouble, that says nothing of Restate."""
    EXHAUSTED = auto()
    """It has had its time, and is settled."""


class RetryBudget:
    """How long one record was passed over: seconds, and how often."""

    __slots__ = ("accepted", "failed_at", "passed_over", "times")

    def __init__(self) -> None:
        self.passed_over = 0.0
        self.times = 0
        self.failed_at: float | None = None
        self.accepted = 0


class FetchedRecord:
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


class Delivery:
    """One token on its way to Restate.

    Attributes:
        fetched: the record that opened it.
        completion: what is posted; replaced by a failure when the result turns out to be unusable.
        duplicates: records with the same token that came meanwhile, and what they complete.
        failures: how often Restate did not take it.
        patience: how long it was passed over; kept from its first failure on.
        unusable: reason and detail, if what is posted stands in for an unusable result.
    """

    __slots__ = ("completion", "duplicates", "failures", "fetched", "identity", "patience", "unusable")

    def __init__(
        self, fetched: FetchedRecord, identity: str, completion: Completion, unusable: tuple[str, str] | None = None
    ) -> None:
        self.fetched = fetched
        self.identity = identity
        self.completion = completion
        self.unusable = unusable
        self.duplicates: list[tuple[FetchedRecord, Target]] = []
        self.failures = 0
        self.patience: RetryBudget | None = None


class InFlightDeliveries:
    """InFlightDeliveries by token identity, and a bounded window of what was delivered: oldest entries go first.

    Args:
        window: how many delivered tokens are remembered.
    """

    __slots__ = ("_delivered", "_in_flight", "_order", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._delivered: set[str] = set()
        self._order: deque[str] = deque()
        self._in_flight: dict[str, Delivery] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    def seen(self, identity: str) -> Seen:
        """What is known of a token."""
        if identity in self._in_flight:
            return Seen.IN_FLIGHT
        return Seen.DELIVERED if identity in self._delivered else Seen.NEW

    def open(self, delivery: Delivery) -> None:
        """A token takes off."""
        self._in_flight[delivery.identity] = delivery

    def attach(self, identity: str, duplicate: FetchedRecord, target: Target) -> None:
        """A duplicate shares the outcome of the one in flight."""
        self._in_flight[identity].duplicates.append((duplicate, target))

    def delivered(self, delivery: Delivery) -> None:
        """Restate accepted it: later duplicates are duplicates."""
        del self._in_flight[delivery.identity]
        self._delivered.add(delivery.identity)
        self._order.append(delivery.identity)
        if len(self._order) > self._window:
            self._delivered.discard(self._order.popleft())

    def dropped(self, delivery: Delivery) -> None:
        """It ended without a delivery: later duplicates are judged anew."""
        del self._in_flight[delivery.identity]
