"""When to stop trying: a record that cannot be completed while others can is parked, so that it holds up nobody.

Age alone says nothing: while Restate is away every record grows old, and none may die of that. What counts is the time
in which a record was *passed over*: it failed again, and since its last failure others were accepted. Long outages add
nothing to it; a Restate of which a part is away adds only while the other parts work.

A record that was passed over for `park_after` is parked. Where it blocks its partition, because the limit of records in
flight or the commit window is nearly used up, `park_blocking_after`
suffices: the records behind it wait for it. Parked means a dead letter that can be replayed.
"""

from __future__ import annotations

from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.deliveries import FailureKind, FetchedRecord, RetryBudget
from kallback.bridge.in_flight.limits import InFlightLimit

PARKED: Final = "parked"


class Parking:
    """Counts what is accepted, and says when a failing record has had its time."""

    def __init__(self, room: InFlightLimit, context: BridgeContext) -> None:
        self._in_flight = room
        self._options = context.options
        self._log = context.log
        self._monotonic = context.clocks.monotonic
        self._accepted = 0

    def accepted(self) -> None:
        """Restate took a record."""
        self._accepted += 1

    def failed(self, patience: RetryBudget, fetched: FetchedRecord, why: str) -> FailureKind:
        """Note that a record failed once more, and say what that means."""
        now = self._monotonic()
        passed = patience.failed_at is not None and patience.accepted != self._accepted
        if passed and patience.failed_at is not None:
            patience.passed_over += now - patience.failed_at
            patience.times += 1
        patience.failed_at, patience.accepted = now, self._accepted
        if patience.times and patience.passed_over >= self._options.stuck_after:
            self._tell(patience, fetched, why)
        limit = self._limit(fetched)
        if patience.times and limit is not None and patience.passed_over >= limit:
            return FailureKind.EXHAUSTED
        return FailureKind.RECORD if passed else FailureKind.UNKNOWN

    def _limit(self, fetched: FetchedRecord) -> float | None:
        limit = self._options.park_after
        if limit is None or not self._in_flight.overloaded(fetched):
            return limit
        return min(limit, self._options.park_blocking_after)

    def _tell(self, patience: RetryBudget, fetched: FetchedRecord, why: str) -> None:
        self._log.warning(
            "a record cannot be completed while others can",
            kind="stuck",
            record=repr(fetched.record),
            passed_over=round(patience.passed_over),
            detail=why,
        )
