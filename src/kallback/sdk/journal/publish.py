"""The journaled steps that send records: *publish* a task, *cancel* it; each for one or for many in one step.

A step never raises because of Kafka: it returns what became of the record, and that is journaled. An error that
Restate retries would count against the invocation's 70 attempts, after which Restate pauses it, out of reach even
of a completion. So the handler waits itself, between two steps, on a durable timer: it suspends meanwhile, its
deadline and its cancellation are heard at once, and Kafka may be away for days.

Both are at least once: a process that dies between Kafka's acknowledgement and the journal's sends again.

A step lasts as long as the producer's delivery timeout (30 s) at most. That should stay below Restate's inactivity
timeout (1 minute): once Restate has asked a busy handler to suspend, it hears of nothing until its step is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from restate import Context, RestateDurableFuture, RunOptions

from kallback.kafka import ConfluentProducer, OutgoingRecord, Producer
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KallbackError,
    MissingTopicError,
    RecordTooLargeError,
)
from kallback.sdk.errors import ACCESS_DENIED, INTERNAL, MISCONFIGURED, MISSING_TOPIC, RECORD_TOO_LARGE, TOO_LARGE
from kallback.sdk.journal.serdes import StepSerde
from kallback.settings import KafkaSettings

CANCEL_LIMIT: Final = 5.0
"""Seconds that a handler spends on telling workers, before it raises what it has to raise."""

_LONGEST_PAUSE: Final = 60
_STEP_ATTEMPTS: Final = 5
"""How often Restate repeats a step that failed because of a defect, before the error is terminal."""


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """Kafka has it on all in-sync replicas."""

    topic: str
    partition: int
    offset: int


class Unreachable(msgspec.Struct, frozen=True, tag="unreachable"):
    """No acknowledgement; the next step may bring it. The record may have been written all the same."""

    detail: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Kafka never takes this record; the detail says what to do."""

    kind: str
    status: int
    detail: str


Publication = Sent | Unreachable | Refused


class BatchPublication(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of many records: those that Kafka does not have, by their place. The journal stays short."""

    troubles: dict[int, Unreachable | Refused] = {}


class TaskPublisher:
    """Sends records through one producer, made at the first send: Restate's app has no start-up hook.

    Args:
        producer: use this one, which somebody else starts and stops.
    """

    def __init__(self, settings: KafkaSettings, producer: Producer | None = None) -> None:
        self._settings: Final = settings
        self._given: Final = producer
        self._own: Producer | None = None

    async def send(self, record: OutgoingRecord) -> Publication:
        """Send one record; what Kafka says is the value."""
        try:
            position = await self._producer().send(record)
        except KallbackError as error:
            return publication_of(error)
        return Sent(position.topic, position.partition, position.offset)

    async def stop(self) -> None:
        """Flush and close the producer that was made here; the next send makes a new one."""
        own, self._own = self._own, None
        if own is not None:
            await own.stop()

    def _producer(self) -> Producer:
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = ConfluentProducer(self._settings)
        return self._own


def publication_of(error: KallbackError) -> Unreachable | Refused:
    """What an error of the producer means for the task."""
    sentence = str(error)
    if isinstance(error, RecordTooLargeError):
        return Refused(RECORD_TOO_LARGE, TOO_LARGE, sentence)
    if isinstance(error, MissingTopicError):
        return Refused(MISSING_TOPIC, INTERNAL, sentence)
    if isinstance(error, AccessDeniedError):
        return Refused(ACCESS_DENIED, INTERNAL, sentence)
    if isinstance(error, ConfigurationError):
        return Refused(MISCONFIGURED, INTERNAL, sentence)
    return Unreachable(sentence)


def publish_step(
    ctx: Context, publisher: TaskPublisher, record: OutgoingRecord, *, name: str
) -> RestateDurableFuture[Publication]:
    """Issue the step that sends a task record."""

    async def publish() -> Publication:
        return await publisher.send(record)

    return ctx.run_typed(name, publish, _OPTIONS)


def publish_many_step(
    ctx: Context, publisher: TaskPublisher, records: Sequence[OutgoingRecord], *, name: str
) -> RestateDurableFuture[BatchPublication]:
    """Issue one step that sends many task records."""

    async def publish() -> BatchPublication:
        publications = await asyncio.gather(*map(publisher.send, records))
        return BatchPublication({place: it for place, it in enumerate(publications) if not isinstance(it, Sent)})

    return ctx.run_typed(name, publish, _MANY)


def cancel_step(
    ctx: Context, publisher: TaskPublisher, records: Callable[[], Sequence[OutgoingRecord]], *, name: str
) -> RestateDurableFuture[Publication]:
    """Issue the step that sends cancels: one try of a few seconds, for somebody waits for the error behind it.

    The records are made inside the step, because they carry the time. Of what became of them, the worst is journaled.
    """

    async def cancel() -> Publication:
        try:
            async with asyncio.timeout(CANCEL_LIMIT):
                publications = await asyncio.gather(*map(publisher.send, records()))
        except TimeoutError:
            return Unreachable(f"Kafka did not acknowledge the cancel within {CANCEL_LIMIT:g} s")
        return next((it for it in publications if not isinstance(it, Sent)), publications[0])

    return ctx.run_typed(name, cancel, _OPTIONS)


def pauses() -> Iterator[timedelta]:
    """Between two tries to publish: 1 s, doubled up to one minute."""
    seconds = 1
    while True:
        yield timedelta(seconds=seconds)
        seconds = min(2 * seconds, _LONGEST_PAUSE)


_OPTIONS: Final = RunOptions[Publication](serde=StepSerde[Publication](Publication), max_attempts=_STEP_ATTEMPTS)
_MANY: Final = RunOptions[BatchPublication](
    serde=StepSerde[BatchPublication](BatchPublication), max_attempts=_STEP_ATTEMPTS
)
