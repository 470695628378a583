"""The end of a record: what must be durable is written, then its offset is done.

Delivered results and their duplicates need nothing written, unless outcome records are switched on: they are done at
once, on the hot path. Everything else goes through a queue to a fixed pool of writers: dead letter first, outcome
record second, each acknowledged by Kafka, then done. A Kafka that does not answer is tried again until it does; a
refusal (no such topic, no permission) stops the bridge, with the record not done.

Cancel: stopping cancels the writers. Their records are not done and come again, so a dead letter can stand twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.deliveries import FetchedRecord
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.results.late_policy import NOT_DEAD_LETTERED
from kallback.bridge.results.verify import Target
from kallback.bridge.stats import Settled
from kallback.kafka import DeadLetters, OutgoingRecord, Producer
from kallback.protocol import KafkaUnavailableError, Outcome, OutcomeRecord, SourcePosition, Token

DEAD_LETTERED: Final = frozenset({Outcome.LATE, Outcome.UNUSABLE, Outcome.UNVERIFIED, Outcome.REJECTED})
"""Outcomes that leave a dead letter, but for some reasons of `late`."""


class Settlement(msgspec.Struct, frozen=True):
    """What is to become of a record; not durable yet.

    Attributes:
        then: called when it is durable and the record done.
    """

    fetched: FetchedRecord
    outcome: Outcome
    target: Target | None = None
    reason: str | None = None
    detail: str = ""
    then: Callable[[], None] | None = None

    @property
    def dead_lettered(self) -> bool:
        """Whether it leaves a dead letter."""
        return (
            self.outcome is not Outcome.DELIVERED
            and self.outcome in DEAD_LETTERED
            and self.reason not in NOT_DEAD_LETTERED
        )


class Scribe(msgspec.Struct, frozen=True):
    """Where endings are written down.

    Attributes:
        outcomes_topic: where outcome records go; None switches them off.
    """

    producer: Producer
    dead_letters: DeadLetters
    outcomes_topic: str | None = None


class Settler:
    """Settles records.

    Args:
        on_settled: told of every record after it is done.
        on_fatal: told when Kafka refuses for good.
    """

    def __init__(
        self,
        scribe: Scribe,
        room: InFlightLimit,
        context: BridgeContext,
        *,
        on_settled: Callable[[Settled], None] | None,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._scribe = scribe
        self._in_flight = room
        self._context = context
        self._on_settled = on_settled
        self._on_fatal = on_fatal
        self._settlements: asyncio.Queue[Settlement] = asyncio.Queue()
        self._writers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Put the writers to work."""
        self._writers = [
            asyncio.create_task(self._write(), name=f"kallback-bridge-writer-{number}")
            for number in range(self._context.options.writers)
        ]

    async def stop(self) -> None:
        """Cancel what is not written; stopping twice is fine."""
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)

    def settle(self, settlement: Settlement) -> None:
        """Give a record its one outcome."""
        if settlement.dead_lettered:
            self._context.log.warning(
                "a result record is dead-lettered",
                kind=f"{settlement.outcome}-{settlement.reason}",
                record=repr(settlement.fetched.record),
                target=_shown(settlement.target),
                detail=settlement.detail,
            )
            self._settlements.put_nowait(settlement)
        elif self._scribe.outcomes_topic is not None:
            self._settlements.put_nowait(settlement)
        else:
            self._finish(settlement)

    async def _write(self) -> None:
        while True:
            settlement = await self._settlements.get()
            try:
                if settlement.dead_lettered:
                    await self._insist(lambda: self._dead_letter(settlement))  # noqa: B023 - called before the next round
                if self._scribe.outcomes_topic is not None:
                    await self._insist(lambda: self._report(settlement))  # noqa: B023
            except Exception as error:  # noqa: BLE001 - whatever it is, the record is not done, and somebody is told
                self._on_fatal(error)
            else:
                self._finish(settlement)

    async def _insist(self, write: Callable[[], Awaitable[object]]) -> None:
        failures = 0
        while True:
            try:
                await write()
            except KafkaUnavailableError as error:
                failures += 1
                self._context.stats.write_retries += 1
                self._context.log.warning("Kafka takes no records, trying again", kind="kafka", detail=str(error))
                await asyncio.sleep(self._context.options.backoff.delay(failures, self._context.clocks.random()))
            else:
                return

    async def _dead_letter(self, settlement: Settlement) -> None:
        reason = settlement.reason or settlement.outcome.value
        await self._scribe.dead_letters.publish(settlement.fetched.record, reason, settlement.detail)
        self._context.stats.dead_letters[reason] += 1

    async def _report(self, settlement: Settlement) -> None:
        if self._scribe.outcomes_topic is None:
            return
        outcome = _outcome_record(settlement, at_ms=int(self._context.clocks.now() * 1000))
        record = OutgoingRecord(self._scribe.outcomes_topic, outcome.encode(), outcome.key())
        await self._scribe.producer.send(record)

    def _finish(self, settlement: Settlement) -> None:
        fetched = settlement.fetched
        fetched.consumer.done(fetched.record)
        stats = self._context.stats
        stats.outcomes[settlement.outcome] += 1
        stats.by_task_type.settle(settlement.target, settlement.outcome, settlement.reason)
        if settlement.reason is not None:
            stats.reasons[settlement.reason] += 1
        if settlement.then is not None:
            settlement.then()
        self._in_flight.release(fetched)
        if self._on_settled is not None:
            self._on_settled(
                Settled(fetched.record, settlement.outcome, settlement.reason, settlement.target, fetched.since)
            )


def _shown(target: Target | None) -> str:
    """For the log; a bare awakeable id is as good as a key, so it is not shown."""
    if target is None:
        return "unknown"
    return repr(target) if isinstance(target, Token) else "a bare awakeable"


def _outcome_record(settlement: Settlement, *, at_ms: int) -> OutcomeRecord:
    record = settlement.fetched.record
    token = settlement.target if isinstance(settlement.target, Token) else None
    return OutcomeRecord(
        settlement.outcome,
        SourcePosition(record.topic, record.partition, record.offset, record.timestamp_ms),
        at_ms,
        reason=settlement.reason,
        task_type=None if token is None else token.task_type,
        task_id=None if token is None else token.task_id,
        attempt=None if token is None else token.attempt,
    )
