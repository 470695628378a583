"""The fetch loop: take records while there is room, judge each, obey the verdict.

Owns the consumer. No more is fetched than can run now, so no fetched record waits while another worker is idle, and
a rebalance waits for running work only. Between the judging of one record and the obeying nothing is awaited: two
copies in one batch are a run and a copy attached to it.

A consumer that cannot go on is replaced. A record fetched by the former one is then settled at the new one, which
ignores it unless it holds the same offset of the same partition; its outcome is durable either way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from kallback.kafka import Consumer, Record
from kallback.protocol.errors import KafkaUnavailableError
from kallback.workers.attempts import Lives
from kallback.workers.backoff import Backoff
from kallback.workers.context import TaskContext, deadline_of
from kallback.workers.counts import WorkerCounts
from kallback.workers.in_flight import InFlight
from kallback.workers.registry import (
    Attach,
    Dead,
    Drop,
    Refuse,
    Registry,
    Run,
    SkipCancelled,
    SkipExpired,
    Verdict,
)
from kallback.workers.runner import Execution

logger = logging.getLogger(__name__)

_PATIENCE: Final = 1.0  # seconds of one fetch; only how often an idle loop wakes up


class ConsumerSeat:
    """The place of the consumer: the one in it can be replaced."""

    def __init__(self, open_consumer: Callable[[], Consumer], backoff: Backoff) -> None:
        self._open = open_consumer
        self._backoff = backoff
        self._consumer = open_consumer()

    async def start(self) -> None:
        """Start the first consumer; errors as those of `Consumer.start`."""
        await self._consumer.start()

    async def fetch(self, limit: int) -> list[Record]:
        """The next records; outlives a consumer that cannot go on."""
        try:
            return await self._consumer.fetch(limit, _PATIENCE)
        except KafkaUnavailableError as error:
            logger.warning("the consumer cannot go on, another takes its place: %s", error)
        await self._replace()
        return []

    def settle(self, record: Record) -> None:
        """The record need not come again."""
        self._consumer.done(record)

    async def stop(self) -> None:
        """Commit what is settled, leave the group; twice is fine."""
        await self._consumer.stop()

    async def _replace(self) -> None:
        failures = 0
        while True:
            await self._consumer.stop()
            self._consumer = self._open()
            try:
                await self._consumer.start()
            except KafkaUnavailableError as error:
                delay = self._backoff.delay(failures)
                failures += 1
                logger.warning("no consumer, the next try is in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)
            else:
                return


@dataclass(frozen=True, slots=True)
class Intake:
    """Turns records into lives."""

    seat: ConsumerSeat
    registry: Registry
    lives: Lives
    in_flight: InFlight
    counts: WorkerCounts
    clock: Callable[[], float] = field(repr=False)

    async def run(self) -> None:
        """Go on until cancelled.

        Raises:
            MissingTopicError: a task topic was deleted.
            AccessDeniedError: a permission was withdrawn.
        """
        while True:
            room = await self.in_flight.free()
            for record in await self.seat.fetch(room):
                self.obey(record, self.registry.judge(record, int(self.clock() * 1000)))

    def obey(self, record: Record, verdict: Verdict) -> None:
        """Do what the verdict says."""
        match verdict:
            case Run():
                self._run(record, verdict)
            case Refuse(key):
                self.registry.begin(key, record)
                self.in_flight.begin(self.lives.refuse(record, verdict))
            case Dead():
                self.in_flight.begin(self.lives.bury(record, verdict))
            case Attach(key):
                logger.info("%r is a copy of running task %r attempt %d, settled with it", record, *key)
                self.counts.attached += 1
                self.registry.attach(key, record)
            case Drop(key):
                logger.info("%r is a copy of finished task %r attempt %d, dropped", record, *key)
                self.counts.dropped += 1
                self.seat.settle(record)
            case SkipCancelled(key, cancel):
                logger.info("task %r attempt %d skipped: the caller waits no more (%s)", *key, cancel.reason)
                self.counts.skipped_cancelled += 1
                self.seat.settle(record)
            case SkipExpired(key, late_ms):
                logger.info("task %r attempt %d skipped: %d ms past its deadline", *key, late_ms)
                self.counts.skipped_expired += 1
                self.seat.settle(record)
            case _:
                assert_never(verdict)

    def _run(self, record: Record, verdict: Run) -> None:
        headers = verdict.headers
        context = TaskContext(
            headers.task_id,
            attempt=headers.attempt,
            task_type=headers.task_type,
            deadline=deadline_of(headers.deadline_ms),
            traceparent=headers.traceparent,
            tracestate=headers.tracestate,
            clock=self.clock,
        )
        execution = Execution(verdict.function, verdict.request, context)
        self.registry.begin(verdict.key, record)
        self.in_flight.begin(self.lives.run(record, verdict, execution), execution)
