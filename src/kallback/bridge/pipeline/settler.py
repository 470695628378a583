"""The end of a record: what must be durable is written, then its offset is done.

Delivered results and their copies need nothing written, unless outcome records are switched on: they are done at once,
on the hot path. Everything else goes through a queue to a fixed pool of writers: dead letter first, outcome record
second, each acknowledged by Kafka, then done. A Kafka that does not answer is tried again until it does; a refusal (no
such topic, no permission) stops the bridge, with the record not done.

Cancel: stopping cancels the writers. Their records are not done and come again, so a dead letter can stand twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from kallback.bridge.context import Shared
from kallback.bridge.in_flight.deliveries import Arrival
from kallback.bridge.in_flight.limits import Room
from kallback.bridge.results.late_policy import SPARED
from kallback.bridge.results.verify import Target
from kallback.bridge.stats import Settled
from kallback.kafka import DeadLetters, OutgoingRecord, Producer
from kallback.protocol import KafkaUnavailableError, Outcome, OutcomeRecord, SourcePosition, Token

BURIED: Final = frozenset({Outcome.LATE, Outcome.UNUSABLE, Outcome.UNVERIFIED, Outcome.REJECTED})
"""Outcomes that leave a dead letter, but for some reasons of `late`."""


class Ending(msgspec.Struct, frozen=True):
    """What is to become of a record; not durable yet.

    Attributes:
        then: called when it is durable and the record done.
    """

    arrival: Arrival
    outcome: Outcome
    target: Target | None = None
    reason: str | None = None
    detail: str = ""
    then: Callable[[], None] | None = None

    @property
    def buried(self) -> bool:
        """Whether it leaves a dead letter."""
        return self.outcome is not Outcome.DELIVERED and self.outcome in BURIED and self.reason not in SPARED


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
        on_broken: told when Kafka refuses for good.
    """

    def __init__(
        self,
        scribe: Scribe,
        room: Room,
        shared: Shared,
        *,
        on_settled: Callable[[Settled], None] | None,
        on_broken: Callable[[Exception], None],
    ) -> None:
        self._scribe = scribe
        self._room = room
        self._shared = shared
        self._on_settled = on_settled
        self._on_broken = on_broken
        self._endings: asyncio.Queue[Ending] = asyncio.Queue()
        self._writers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Put the writers to work."""
        self._writers = [
            asyncio.create_task(self._write(), name=f"kallback-bridge-writer-{number}")
            for number in range(self._shared.options.writers)
        ]

    async def stop(self) -> None:
        """Cancel what is not written; stopping twice is fine."""
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)

    def settle(self, ending: Ending) -> None:
        """Give a record its one outcome."""
        if ending.buried:
            self._shared.log.warning(
                "a result record is dead-lettered",
                kind=f"{ending.outcome}-{ending.reason}",
                record=repr(ending.arrival.record),
                target=_shown(ending.target),
                detail=ending.detail,
            )
            self._endings.put_nowait(ending)
        elif self._scribe.outcomes_topic is not None:
            self._endings.put_nowait(ending)
        else:
            self._finish(ending)

    async def _write(self) -> None:
        while True:
            ending = await self._endings.get()
            try:
                if ending.buried:
                    await self._insist(lambda: self._bury(ending))  # noqa: B023 - called before the next round
                if self._scribe.outcomes_topic is not None:
                    await self._insist(lambda: self._report(ending))  # noqa: B023
            except Exception as error:  # noqa: BLE001 - whatever it is, the record is not done, and somebody is told
                self._on_broken(error)
            else:
                self._finish(ending)

    async def _insist(self, write: Callable[[], Awaitable[object]]) -> None:
        failures = 0
        while True:
            try:
                await write()
            except KafkaUnavailableError as error:
                failures += 1
                self._shared.stats.write_retries += 1
                self._shared.log.warning("Kafka takes no records, trying again", kind="kafka", detail=str(error))
                await asyncio.sleep(self._shared.options.backoff.delay(failures, self._shared.clocks.chance()))
            else:
                return

    async def _bury(self, ending: Ending) -> None:
        reason = ending.reason or ending.outcome.value
        await self._scribe.dead_letters.publish(ending.arrival.record, reason, ending.detail)
        self._shared.stats.dead_letters[reason] += 1

    async def _report(self, ending: Ending) -> None:
        if self._scribe.outcomes_topic is None:
            return
        outcome = _outcome_record(ending, at_ms=int(self._shared.clocks.now() * 1000))
        record = OutgoingRecord(self._scribe.outcomes_topic, outcome.encode(), outcome.key())
        await self._scribe.producer.send(record)

    def _finish(self, ending: Ending) -> None:
        arrival = ending.arrival
        arrival.consumer.done(arrival.record)
        stats = self._shared.stats
        stats.outcomes[ending.outcome] += 1
        stats.tallies.settle(ending.target, ending.outcome, ending.reason)
        if ending.reason is not None:
            stats.reasons[ending.reason] += 1
        if ending.then is not None:
            ending.then()
        self._room.leave(arrival)
        if self._on_settled is not None:
            self._on_settled(Settled(arrival.record, ending.outcome, ending.reason, ending.target, arrival.since))


def _shown(target: Target | None) -> str:
    """For the log; a bare awakeable id is as good as a key, so it is not shown."""
    if target is None:
        return "unknown"
    return repr(target) if isinstance(target, Token) else "a bare awakeable"


def _outcome_record(ending: Ending, *, at_ms: int) -> OutcomeRecord:
    record = ending.arrival.record
    token = ending.target if isinstance(ending.target, Token) else None
    return OutcomeRecord(
        ending.outcome,
        SourcePosition(record.topic, record.partition, record.offset, record.timestamp_ms),
        at_ms,
        reason=ending.reason,
        task_type=None if token is None else token.task_type,
        task_id=None if token is None else token.task_id,
        attempt=None if token is None else token.attempt,
    )
