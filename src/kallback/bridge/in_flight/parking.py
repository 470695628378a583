"""When to stop trying: a record that cannot be completed while others can is parked, so that it holds up nobody.

Age alone says nothing: while Restate is away every record grows old, and none may die of that. What counts is the time
in which a record was *passed over*: it failed again, and since its last failure others were accepted. Long outages add
nothing to it; a Restate of which a part is away adds only while the other parts work.

A record that was passed over for `park_after` is parked. Where its partition is crowded, because the room for records
in flight is nearly used up or because the newest record is so far ahead that the commit window is, `park_crowded_after`
suffices: the records behind it wait for it. Parked means a dead letter that can be replayed.
"""

from __future__ import annotations

from typing import Final

from kallback.bridge.context import Shared
from kallback.bridge.in_flight.deliveries import Arrival, Patience, Setback
from kallback.bridge.in_flight.limits import Room

PARKED: Final = "parked"


class Parking:
    """Counts what is accepted, and says when a failing record has had its time."""

    def __init__(self, room: Room, shared: Shared) -> None:
        self._room = room
        self._options = shared.options
        self._log = shared.log
        self._monotonic = shared.clocks.monotonic
        self._accepted = 0

    def accepted(self) -> None:
        """Restate took a record."""
        self._accepted += 1

    def failed(self, patience: Patience, arrival: Arrival, why: str) -> Setback:
        """Note that a record failed once more, and say what that means."""
        now = self._monotonic()
        passed = patience.failed_at is not None and patience.accepted != self._accepted
        if passed and patience.failed_at is not None:
            patience.passed_over += now - patience.failed_at
            patience.times += 1
        patience.failed_at, patience.accepted = now, self._accepted
        if patience.times and patience.passed_over >= self._options.stuck_after:
            self._tell(patience, arrival, why)
        limit = self._limit(arrival)
        if patience.times and limit is not None and patience.passed_over >= limit:
            return Setback.GIVEN_UP
        return Setback.OWN if passed else Setback.FRESH

    def _limit(self, arrival: Arrival) -> float | None:
        limit = self._options.park_after
        if limit is None or not self._room.crowded(arrival):
            return limit
        return min(limit, self._options.park_crowded_after)

    def _tell(self, patience: Patience, arrival: Arrival, why: str) -> None:
        self._log.warning(
            "a record cannot be completed while others can",
            kind="stuck",
            record=repr(arrival.record),
            passed_over=round(patience.passed_over),
            detail=why,
        )
