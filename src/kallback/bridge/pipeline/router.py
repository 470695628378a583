"""Between Kafka and Restate: applies the verdict on each fetched record, and settles records by Restate's replies.

The state of a token changes in one step on the bridge's event loop: there are never two deliveries of one token. Only
large values are judged in a thread, as if their tokens were new; what is known of the token is looked up afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, assert_never

from kallback.bridge.completers.replies import Accepted, TooLarge
from kallback.bridge.context import BridgeContext
from kallback.bridge.dispatch.dispatcher import Dispatcher, FinalReply
from kallback.bridge.in_flight.deliveries import Delivery, InFlightDeliveries
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.parking import PARKED, FailureKind, Parking, RetryBudget
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.copy_settler import CopySettler
from kallback.bridge.pipeline.late_settler import LateSettler
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.bridge.pipeline.unverified_settler import UnverifiedSettler
from kallback.bridge.results.decide import (
    LARGE_BYTES,
    AttachDuplicate,
    Deliver,
    Duplicate,
    KnownCopy,
    Late,
    Seen,
    UnusableResult,
    VerifiedVerdict,
    decide,
    fail_unusable,
    recheck,
)
from kallback.bridge.results.known_copies import KnownCopies
from kallback.kafka import Consumer, Record
from kallback.protocol import Outcome, Unusable
from kallback.protocol.verification import Trust, UnverifiedResult
from kallback.settings import named_log

REJECTED: Final = "rejected"
_log: Final = named_log("kallback.bridge")


class ResultRouter:
    """Gives each record to the dispatcher or a settler; listens to the dispatcher.

    Args:
        trust: what authenticates a record.
        on_recovered: called when Restate is available again.
    """

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        trust: Trust,
        context: BridgeContext,
        *,
        in_flight: InFlightLimit,
        parking: Parking,
        dispatcher: Dispatcher,
        late: LateSettler,
        settler: Settler,
        unverified_settler: UnverifiedSettler,
        known: KnownCopies,
        copies: CopySettler,
        on_recovered: Callable[[], None],
    ) -> None:
        self._trust = trust
        self._context = context
        self._in_flight = in_flight
        self._parking = parking
        self._dispatcher = dispatcher
        self._late = late
        self._settler = settler
        self._unverified_settler = unverified_settler
        self._known = known
        self._copies = copies
        self._notify_recovered = on_recovered
        self._one_large = asyncio.Lock()  # one at a time: each needs several times its bytes
        self._deliveries = InFlightDeliveries(context.options.delivered_window)
        self._grace_ms = context.options.late_grace * 1000

    def route(self, records: Sequence[Record], consumer: Consumer) -> None:
        """Decide on the records of a fetch, and apply the verdicts: those of verified records first."""
        clocks, stats = self._context.clocks, self._context.stats
        stats.fetched += sum([record.count for record in records])
        now_ms, since = clocks.now() * 1000, clocks.monotonic()
        unverified: list[tuple[Record, UnverifiedResult]] = []
        for record in records:
            if len(record.value or b"") > LARGE_BYTES:
                self._route_large(FetchedRecord(record, consumer, since))
                continue
            verdict = decide(record, self._trust, seen=self._deliveries.seen, now_ms=now_ms, grace_ms=self._grace_ms)
            if isinstance(verdict, UnverifiedResult):
                unverified.append((record, verdict))
            else:
                fetched = FetchedRecord(record, consumer, since)
                self._in_flight.acquire(fetched)
                self._apply(verdict, fetched)
        if unverified:
            self._unverified_settler.settle(unverified, consumer, since)

    def _route_large(self, fetched: FetchedRecord) -> None:
        """Decide on a record in a thread: parsing a large value takes longer than the event loop may be held."""
        self._in_flight.acquire(fetched)
        self._context.supervisor.run_once("large-result", self._decide_in_thread(fetched))

    async def _decide_in_thread(self, fetched: FetchedRecord) -> None:
        now_ms = self._context.clocks.now() * 1000
        async with self._one_large:
            verdict = await asyncio.to_thread(
                decide, fetched.record, self._trust, seen=_all_new, now_ms=now_ms, grace_ms=self._grace_ms
            )
        verdict = recheck(verdict, self._deliveries.seen)
        if isinstance(verdict, UnverifiedResult):
            self._unverified_settler.settle([(fetched.record, verdict)], fetched.consumer, fetched.since)
            self._in_flight.release(fetched)  # not before: something of it is in flight all the time
        else:
            self._apply(verdict, fetched)

    # What the dispatcher reports.

    def on_reply(self, delivery: Delivery, reply: FinalReply) -> None:
        """Restate accepted or refused a delivery."""
        if isinstance(reply, Accepted):
            written_ms = delivery.fetched.record.timestamp_ms
            context = self._context
            context.stats.by_task_type.accept(delivery.completion.target, written_ms, context.clocks.now())
            self._parking.accepted()
            self._settle_accepted(delivery)
        elif isinstance(reply, TooLarge) and delivery.unusable is None:
            delivery.unusable = (Unusable.TOO_LARGE, reply.detail)
            completion = delivery.completion
            delivery.completion = fail_unusable(completion.token, completion.target, reply.detail)
            self._dispatcher.submit(delivery)
        else:
            self._deliveries.dropped(delivery)
            self._settle_rejected(delivery, REJECTED, reply.detail)

    def on_failure(self, delivery: Delivery, detail: str) -> FailureKind:
        """A delivery came back without a final reply; park it if its retry budget is used up."""
        self._in_flight.on_failed_completion()
        budget = delivery.retry_budget
        if budget is None:
            budget = delivery.retry_budget = RetryBudget()
        kind = self._parking.failed(budget, delivery.fetched, detail)
        if kind is FailureKind.EXHAUSTED:
            self._deliveries.dropped(delivery)
            over = round(budget.passed_over)
            self._settle_rejected(delivery, PARKED, f"not accepted for {over} s while others were: {detail}")
        return kind

    def on_unavailable(self) -> None:
        """Restate is unavailable: pause fetching."""
        self._context.stats.unavailable = True
        self._in_flight.throttle()

    def on_recovered(self) -> None:
        """Restate is available again: resume fetching."""
        self._context.stats.unavailable = False
        _log.info("Restate available again: fetching resumed")
        self._in_flight.restore()
        self._notify_recovered()

    def on_fatal(self, error: Exception) -> None:
        """No completion can succeed: the bridge stops."""
        self._context.supervisor.fail("the dispatcher", error)

    # How verdicts and replies are applied.

    def _apply(self, verdict: VerifiedVerdict, fetched: FetchedRecord) -> None:
        match verdict:
            case Deliver():
                self._submit(Delivery(fetched, verdict.identity, verdict.completion))
            case AttachDuplicate():
                if (delivery := self._deliveries.attach(verdict.identity, fetched, verdict.target)).accepted:
                    self._settle_copies(delivery)
            case Duplicate():
                copy = KnownCopy(Outcome.DUPLICATE, verdict.target)
                self._known.add_target(copy)
                self._copies.settle(fetched, copy)
            case KnownCopy():
                self._copies.settle(fetched, verdict)
            case Late():
                self._late.settle(fetched, verdict)
            case UnusableResult():
                unusable = (verdict.reason, verdict.detail)
                self._submit(Delivery(fetched, verdict.identity, verdict.completion, unusable))
            case _:
                assert_never(verdict)

    def _submit(self, delivery: Delivery) -> None:
        self._deliveries.add(delivery)
        self._dispatcher.submit(delivery)

    def _settle_accepted(self, delivery: Delivery) -> None:
        target = delivery.completion.target
        if delivery.unusable is None:
            answer = delivery.completion.answer
            self._settler.settle(Settlement(delivery.fetched, Outcome.DELIVERED, target, answer=answer))
            self._complete(delivery)
            return
        # It stays in flight until its dead letter is durable: the same record, redelivered, must not be done before.
        # Copies at other positions may be: otherwise they would fill a partition while letters cannot be written.
        delivery.accepted = True
        self._settle_copies(delivery)
        reason, detail = delivery.unusable
        settlement = Settlement(
            delivery.fetched, Outcome.UNUSABLE, target, reason, detail, then=lambda: self._complete(delivery)
        )
        self._settler.settle(settlement)

    def _settle_copies(self, delivery: Delivery) -> None:
        for copy, target in delivery.take_copies():
            self._settler.settle(Settlement(copy, Outcome.DUPLICATE, target))

    def _complete(self, delivery: Delivery) -> None:
        self._deliveries.delivered(delivery)
        for duplicate, target in delivery.duplicates:
            self._settler.settle(Settlement(duplicate, Outcome.DUPLICATE, target))

    def _settle_rejected(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Settle what Restate does not accept, with its duplicates: they complete the same awakeable."""
        target = delivery.completion.target
        first = Settlement(delivery.fetched, Outcome.REJECTED, target, reason, detail)
        if delivery.unusable:
            why, what = delivery.unusable
            detail = f"{what}; and the task could not be failed: {detail}"
            first = Settlement(delivery.fetched, Outcome.UNUSABLE, target, why, detail)
        self._settler.settle(first)
        for duplicate, its_target in delivery.duplicates:
            self._settler.settle(Settlement(duplicate, Outcome.REJECTED, its_target, reason, detail))


def _all_new(_identity: str) -> Seen:
    return Seen.NEW
