"""Between Kafka and Restate: each record gets a verdict, each verdict is obeyed, each judgement ends a record.

Everything here is synchronous and runs on the bridge's loop, so a token's state changes in one step: no two flights of
one token exist at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from kallback.bridge.completers.replies import Accepted, TooLarge
from kallback.bridge.context import Shared
from kallback.bridge.dispatch.dispatcher import Dispatcher, Judgement
from kallback.bridge.in_flight.deliveries import Arrival, Flight, Flights, Patience, Setback
from kallback.bridge.in_flight.limits import Room
from kallback.bridge.in_flight.parking import PARKED, Parking
from kallback.bridge.pipeline.late_sender import LateArrival, LateSender
from kallback.bridge.pipeline.settler import Ending, Settler
from kallback.bridge.results.decide import (
    Attach,
    Deliver,
    Duplicate,
    Late,
    Unusable,
    Unverified,
    Verdict,
    decide,
    fail_unusable,
)
from kallback.bridge.results.late_policy import DROPPED, LATE, Drop, LateResult, ToHandler
from kallback.bridge.results.verify import Trust
from kallback.kafka import Consumer, Record
from kallback.protocol import Outcome, UnusableResultError
from kallback.protocol import Unusable as UnusableReason

REJECTED: Final = "rejected"


class Places(msgspec.Struct, frozen=True):
    """Where a record goes from triage."""

    room: Room
    dispatcher: Dispatcher
    late: LateSender
    settler: Settler
    parking: Parking


class Triage:
    """Takes records, tells the dispatcher, the late sender and the settler what to do with each."""

    def __init__(self, trust: Trust, places: Places, *, shared: Shared) -> None:
        self._trust = trust
        self._room = places.room
        self._dispatcher = places.dispatcher
        self._late = places.late
        self._settler = places.settler
        self._parking = places.parking
        self._shared = shared
        self._flights = Flights(shared.options.delivered_window)
        self._grace_ms = shared.options.late_grace * 1000

    def take(self, records: Sequence[Record], consumer: Consumer) -> None:
        """Judge what a fetch brought."""
        self._shared.stats.fetched += len(records)
        now_ms, since = self._shared.clocks.now() * 1000, self._shared.clocks.monotonic()
        for record in records:
            arrival = Arrival(record, consumer, since)
            self._room.enter(arrival)
            verdict = decide(record, self._trust, seen=self._flights.seen, now_ms=now_ms, grace_ms=self._grace_ms)
            self._obey(verdict, arrival)

    def judged(self, flight: Flight, judgement: Judgement) -> None:
        """Restate has spoken about a flight."""
        if isinstance(judgement, Accepted):
            self._parking.accepted()
            self._end_accepted(flight)
        elif isinstance(judgement, TooLarge) and flight.unusable is None:
            flight.unusable = (UnusableReason.TOO_LARGE, judgement.detail)
            flight.completion = fail_unusable(flight.completion.token, flight.completion.target, judgement.detail)
            self._dispatcher.submit(flight)
        else:
            self._flights.dropped(flight)
            self._end_rejected(flight, REJECTED, judgement.detail)

    def failed(self, flight: Flight, why: str) -> Setback:
        """A flight came back without a judgement; if it has had its time, it is parked."""
        if flight.patience is None:
            flight.patience = Patience()
        setback = self._parking.failed(flight.patience, flight.arrival, why)
        if setback is Setback.GIVEN_UP:
            self._flights.dropped(flight)
            over = round(flight.patience.passed_over)
            self._end_rejected(flight, PARKED, f"not taken for {over} s while others were: {why}")
        return setback

    def _obey(self, verdict: Verdict, arrival: Arrival) -> None:
        match verdict:
            case Deliver():
                self._depart(Flight(arrival, verdict.identity, verdict.completion))
            case Attach():
                self._flights.attach(verdict.identity, arrival, verdict.target)
            case Duplicate():
                self._settler.settle(Ending(arrival, Outcome.DUPLICATE, verdict.target))
            case Late():
                self._end_late(arrival, verdict)
            case Unusable():
                unusable = (verdict.reason, verdict.detail)
                self._depart(Flight(arrival, verdict.identity, verdict.completion, unusable))
            case Unverified():
                self._settler.settle(Ending(arrival, Outcome.UNVERIFIED, None, verdict.reason, verdict.detail))
            case _:
                assert_never(verdict)

    def _depart(self, flight: Flight) -> None:
        self._flights.open(flight)
        self._dispatcher.submit(flight)

    def _end_accepted(self, flight: Flight) -> None:
        target = flight.completion.target
        if flight.unusable is None:
            self._settler.settle(Ending(flight.arrival, Outcome.DELIVERED, target))
            self._land(flight)
        else:  # in flight until its dead letter is durable: the same record, handed out again, must not be done before
            ending = Ending(flight.arrival, Outcome.UNUSABLE, target, *flight.unusable, then=lambda: self._land(flight))
            self._settler.settle(ending)

    def _land(self, flight: Flight) -> None:
        self._flights.delivered(flight)
        for copy, target in flight.copies:
            self._settler.settle(Ending(copy, Outcome.DUPLICATE, target))

    def _end_rejected(self, flight: Flight, reason: str, detail: str) -> None:
        """Restate does not take it. Copies complete the same awakeable, so they share the refusal."""
        target = flight.completion.target
        first = Ending(flight.arrival, Outcome.REJECTED, target, reason, detail)
        if flight.unusable:
            why, what = flight.unusable
            detail = f"{what}; and the task could not be failed: {detail}"
            first = Ending(flight.arrival, Outcome.UNUSABLE, target, why, detail)
        self._settler.settle(first)
        for copy, its_target in flight.copies:
            self._settler.settle(Ending(copy, Outcome.REJECTED, its_target, reason, detail))

    def _end_late(self, arrival: Arrival, verdict: Late) -> None:
        policy = self._shared.options.late.of(verdict.target.task_type)
        detail = verdict.detail
        if isinstance(policy, Drop):
            self._settler.settle(Ending(arrival, Outcome.LATE, verdict.target, DROPPED, detail))
            return
        if isinstance(policy, ToHandler):
            try:
                result = LateResult(verdict.target, verdict.result.answer(), arrival.record.timestamp_ms)
            except UnusableResultError as error:
                detail = f"{detail}, and no result that a handler could be given: {error.detail}"
            else:
                self._late.submit(LateArrival(arrival, result, policy))
                return
        self._settler.settle(Ending(arrival, Outcome.LATE, verdict.target, LATE, detail))
