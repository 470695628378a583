"""Between Kafka and Restate: each record gets a verdict, each verdict is obeyed, each judgement ends a record.

Everything here is synchronous and runs on the bridge's loop, so a token's state changes in one step: no two flights of
one token exist at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from kallback.bridge.decide import (
    LATE,
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
from kallback.bridge.dispatch import Dispatcher, Judgement
from kallback.bridge.flights import Arrival, Flight, Flights
from kallback.bridge.replies import Accepted, TooLarge
from kallback.bridge.room import Room
from kallback.bridge.settling import Ending, Settler
from kallback.bridge.shared import Shared
from kallback.bridge.verify import Trust
from kallback.kafka import Consumer, Record
from kallback.protocol import Outcome
from kallback.protocol import Unusable as UnusableReason

REJECTED: Final = "rejected"


class Triage:
    """Takes records, tells the dispatcher and the settler what to do with each."""

    def __init__(self, trust: Trust, room: Room, dispatcher: Dispatcher, settler: Settler, *, shared: Shared) -> None:
        self._trust = trust
        self._room = room
        self._dispatcher = dispatcher
        self._settler = settler
        self._shared = shared
        self._flights = Flights(shared.options.delivered_window)
        self._grace_ms = shared.options.late_grace * 1000

    def take(self, records: Sequence[Record], consumer: Consumer) -> None:
        """Judge what a fetch brought."""
        self._shared.stats.fetched += len(records)
        now_ms = self._shared.clocks.now() * 1000
        for record in records:
            arrival = Arrival(record, consumer)
            self._room.enter(arrival.size)
            verdict = decide(record, self._trust, seen=self._flights.seen, now_ms=now_ms, grace_ms=self._grace_ms)
            self._obey(verdict, arrival)

    def judged(self, flight: Flight, judgement: Judgement) -> None:
        """Restate has spoken about a flight."""
        if isinstance(judgement, Accepted):
            self._end_accepted(flight)
        elif isinstance(judgement, TooLarge) and flight.unusable is None:
            flight.unusable = (UnusableReason.TOO_LARGE, judgement.detail)
            flight.completion = fail_unusable(flight.completion.token, flight.completion.target, judgement.detail)
            self._dispatcher.submit(flight)
        else:
            self._flights.dropped(flight)
            self._end_rejected(flight, judgement.detail)

    def _obey(self, verdict: Verdict, arrival: Arrival) -> None:
        match verdict:
            case Deliver():
                self._depart(Flight(arrival, verdict.identity, verdict.completion))
            case Attach():
                self._flights.attach(verdict.identity, arrival, verdict.target)
            case Duplicate():
                self._settler.settle(Ending(arrival, Outcome.DUPLICATE, verdict.target))
            case Late():
                self._settler.settle(Ending(arrival, Outcome.LATE, verdict.target, LATE, verdict.detail))
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

    def _end_rejected(self, flight: Flight, detail: str) -> None:
        """Restate never takes it. Copies complete the same awakeable, so they share the refusal."""
        outcome, reason = (Outcome.UNUSABLE, flight.unusable[0]) if flight.unusable else (Outcome.REJECTED, REJECTED)
        if flight.unusable:
            detail = f"{flight.unusable[1]}; and the task could not be failed: {detail}"
        self._settler.settle(Ending(flight.arrival, outcome, flight.completion.target, reason, detail))
        for copy, its_target in flight.copies:
            self._settler.settle(Ending(copy, Outcome.REJECTED, its_target, REJECTED, detail))
