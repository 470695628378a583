"""When to stop retrying: a record that fails while others succeed is parked, so that it does not block its partition.

Age alone says nothing: while Restate is unavailable every record grows old, and no record is given up because of that.
What counts is the time in which a record was *passed over*: it failed again, and other records were accepted since its
last failure. A long outage adds nothing to it. If a part of Restate is unavailable, time counts only while the other
parts work.

A record that was passed over for `park_after` is parked. If it blocks its partition, because the limit of records in
flight or the commit window is nearly used up, it is parked after `park_blocking_after`. Parked means: dead-lettered,
and fit for replay.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.records import FetchedRecord

PARKED: Final = "parked"


class FailureKind(Enum):
    """What the failure of a record says."""

    UNKNOWN = auto()
    """Restate may be unavailable: it is the record's first failure, or no other record was accepted since its last."""
    RECORD = auto()
    """Other records were accepted since its last failure: it concerns this record, not Restate."""
    EXHAUSTED = auto()
    """Its retry budget is used up, and it was settled."""


class RetryBudget:
    """How long one record was passed over, in seconds, and how often."""

    __slots__ = ("accepted", "failed_at", "passed_over", "times")

    def __init__(self) -> None:
        self.passed_over = 0.0
        self.times = 0
        self.failed_at: float | None = None
        self.accepted = 0


class Parking:
    """Counts accepted records, and decides when the retry budget of a failing one is used up."""

    def __init__(self, in_flight: InFlightLimit, context: BridgeContext) -> None:
        self._in_flight = in_flight
        self._options = context.options
        self._log = context.log
        self._monotonic = context.clocks.monotonic
        self._accepted = 0

    def accepted(self) -> None:
        """Count a record that Restate accepted."""
        self._accepted += 1

    def failed(self, budget: RetryBudget, fetched: FetchedRecord, detail: str) -> FailureKind:
        """Charge one more failure to a record's budget, and say what the failure means."""
        now = self._monotonic()
        passed = budget.failed_at is not None and budget.accepted != self._accepted
        if passed and budget.failed_at is not None:
            budget.passed_over += now - budget.failed_at
            budget.times += 1
        budget.failed_at, budget.accepted = now, self._accepted
        if budget.times and budget.passed_over >= self._options.stuck_after:
            self._warn(budget, fetched, detail)
        limit = self._limit(fetched)
        if budget.times and limit is not None and budget.passed_over >= limit:
            return FailureKind.EXHAUSTED
        return FailureKind.RECORD if passed else FailureKind.UNKNOWN

    def _limit(self, fetched: FetchedRecord) -> float | None:
        limit = self._options.park_after
        if limit is None or not self._in_flight.is_blocking(fetched):
            return limit
        return min(limit, self._options.park_blocking_after)

    def _warn(self, budget: RetryBudget, fetched: FetchedRecord, detail: str) -> None:
        self._log.warning(
            "a record fails while others succeed",
            kind="stuck",
            record=repr(fetched.record),
            passed_over=round(budget.passed_over),
            detail=detail,
        )
