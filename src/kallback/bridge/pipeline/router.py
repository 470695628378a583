"""Between Kafka and Restate: each record gets a verdict, each verdict is obeyed, each reply ends a record.

Everything here is synchronous and runs on the bridge's loop, so a token's state changes in one step: no two
deliveries of one token exist at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from kallback.bridge.completers.replies import Accepted, TooLarge
from kallback.bridge.context import BridgeContext
from kallback.bridge.dispatch.dispatcher import Dispatcher, FinalReply
from kallback.bridge.in_flight.deliveries import Delivery, FailureKind, FetchedRecord, InFlightDeliveries, RetryBudget
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.parking import PARKED, Parking
from kallback.bridge.pipeline.late_sender import LateDelivery, LateSender
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.bridge.results.decide import (
    AttachDuplicate,
    Deliver,
    Duplicate,
    Late,
    UnusableResult,
    UnverifiedResult,
    Verdict,
    decide,
    fail_unusable,
)
from kallback.bridge.results.late_policy import DROPPED, LATE, DropLate, LateResult, ToHandler
from kallback.bridge.results.verify import Trust
from kallback.kafka import Consumer, Record
from kallback.protocol import Outcome, Unusable, UnusableResultError

REJECTED: Final = "rejected"


class Places(msgspec.Struct, frozen=True):
    """Where a record goes from router."""

    room: InFlightLimit
    dispatcher: Dispatcher
    late: LateSender
    settler: Settler
    parking: Parking


class ResultRouter:
    """Takes records, tells the dispatcher, the late sender and the settler what to do with each."""

    def __init__(self, trust: Trust, places: Places, *, context: BridgeContext) -> None:
        self._trust = trust
        self._in_flight = places.room
        self._dispatcher = places.dispatcher
        self._late = places.late
        self._settler = places.settler
        self._parking = places.parking
        self._context = context
        self._deliveries = InFlightDeliveries(context.options.delivered_window)
        self._grace_ms = context.options.late_grace * 1000

    def take(self, records: Sequence[Record], consumer: Consumer) -> None:
        """Judge what a fetch brought."""
        self._context.stats.fetched += len(records)
        now_ms, since = self._context.clocks.now() * 1000, self._context.clocks.monotonic()
        for record in records:
            fetched = FetchedRecord(record, consumer, since)
            self._in_flight.acquire(fetched)
            verdict = decide(record, self._trust, seen=self._deliveries.seen, now_ms=now_ms, grace_ms=self._grace_ms)
            self._apply(verdict, fetched)

    def judged(self, delivery: Delivery, reply: FinalReply) -> None:
        """Restate has spoken about a delivery."""
        if isinstance(reply, Accepted):
            self._parking.accepted()
            self._end_accepted(delivery)
        elif isinstance(reply, TooLarge) and delivery.unusable is None:
            delivery.unusable = (Unusable.TOO_LARGE, reply.detail)
            delivery.completion = fail_unusable(delivery.completion.token, delivery.completion.target, reply.detail)
            self._dispatcher.submit(delivery)
        else:
            self._deliveries.dropped(delivery)
            self._end_rejected(delivery, REJECTED, reply.detail)

    def failed(self, delivery: Delivery, why: str) -> FailureKind:
        """A delivery came back without a reply; if it has had its time, it is parked."""
        if delivery.patience is None:
            delivery.patience = RetryBudget()
        kind = self._parking.failed(delivery.patience, delivery.fetched, why)
        if kind is FailureKind.EXHAUSTED:
            self._deliveries.dropped(delivery)
            over = round(delivery.patience.passed_over)
            self._end_rejected(delivery, PARKED, f"not taken for {over} s while others were: {why}")
        return kind

    def _apply(self, verdict: Verdict, fetched: FetchedRecord) -> None:
        match verdict:
            case Deliver():
                self._submit(Delivery(fetched, verdict.identity, verdict.completion))
            case AttachDuplicate():
                self._deliveries.attach(verdict.identity, fetched, verdict.target)
            case Duplicate():
                self._settler.settle(Settlement(fetched, Outcome.DUPLICATE, verdict.target))
            case Late():
                self._end_late(fetched, verdict)
            case UnusableResult():
                unusable = (verdict.reason, verdict.detail)
                self._submit(Delivery(fetched, verdict.identity, verdict.completion, unusable))
            case UnverifiedResult():
                self._settler.settle(Settlement(fetched, Outcome.UNVERIFIED, None, verdict.reason, verdict.detail))
            case _:
                assert_never(verdict)

    def _submit(self, delivery: Delivery) -> None:
        self._deliveries.open(delivery)
        self._dispatcher.submit(delivery)

    def _end_accepted(self, delivery: Delivery) -> None:
        target = delivery.completion.target
        if delivery.unusable is None:
            self._settler.settle(Settlement(delivery.fetched, Outcome.DELIVERED, target))
            self._complete(delivery)
        else:  # in flight until its dead letter is durable: the same record, handed out again, must not be done before
            settlement = Settlement(
                delivery.fetched, Outcome.UNUSABLE, target, *delivery.unusable, then=lambda: self._complete(delivery)
            )
            self._settler.settle(settlement)

    def _complete(self, delivery: Delivery) -> None:
        self._deliveries.delivered(delivery)
        for duplicate, target in delivery.duplicates:
            self._settler.settle(Settlement(duplicate, Outcome.DUPLICATE, target))

    def _end_rejected(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Restate does not take it. Duplicates complete the same awakeable, so they share the refusal."""
        target = delivery.completion.target
        first = Settlement(delivery.fetched, Outcome.REJECTED, target, reason, detail)
        if delivery.unusable:
            why, what = delivery.unusable
            detail = f"{what}; and the task could not be failed: {detail}"
            first = Settlement(delivery.fetched, Outcome.UNUSABLE, target, why, detail)
        self._settler.settle(first)
        for duplicate, its_target in delivery.duplicates:
            self._settler.settle(Settlement(duplicate, Outcome.REJECTED, its_target, reason, detail))

    def _end_late(self, fetched: FetchedRecord, verdict: Late) -> None:
        policy = self._context.options.late.of(verdict.target.task_type)
        detail = verdict.detail
        if isinstance(policy, DropLate):
            self._settler.settle(Settlement(fetched, Outcome.LATE, verdict.target, DROPPED, detail))
            return
        if isinstance(policy, ToHandler):
            try:
                result = LateResult(verdict.target, verdict.result.answer(), fetched.record.timestamp_ms)
            except UnusableResultError as error:
                detail = f"{detail}, and no result that a handler could be given: {error.detail}"
            else:
                self._late.submit(LateDelivery(fetched, result, policy))
                return
        self._settler.settle(Settlement(fetched, Outcome.LATE, verdict.target, LATE, detail))
