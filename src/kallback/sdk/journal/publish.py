"""The journaled steps that send records: *publish* tasks and *cancel* tasks, for one task or many in one step.

A step never raises because of Kafka: it returns the outcome of each record, and the outcome is journaled. An error that
Restate retries would count against the invocation's 70 attempts, after which Restate pauses it, and not even a
completion resumes it. So the handler waits between two steps on a durable timer: it suspends meanwhile, its deadline
and its cancellation take effect at once, and Kafka may be unavailable for days.

Both are at least once: a process that dies between Kafka's acknowledgement and the journal's sends again.

A step takes at most the producer's delivery timeout (30 s), and where nothing was acknowledged ten seconds more, in
which Kafka is asked why. Keep that below Restate's inactivity timeout (1 minute):
once Restate has asked a busy handler to suspend, the handler receives nothing until its step is over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, Protocol

import msgspec
from restate import Context, RestateDurableFuture, RunOptions

from kallback.kafka import ConfluentProducer, OutgoingRecord, Producer
from kallback.lifecycle import LogThrottle
from kallback.lifecycle.in_turn import InTurn
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KafkaUnavailableError,
    KallbackError,
    MissingTopicError,
    PublishedTasks,
    RecordTooLargeError,
    TaskId,
)
from kallback.sdk.errors import ACCESS_DENIED, INTERNAL, MISCONFIGURED, MISSING_TOPIC, RECORD_TOO_LARGE, TOO_LARGE
from kallback.sdk.journal.acknowledgement import hold_acknowledgement
from kallback.sdk.journal.serdes import StepSerde
from kallback.settings import KafkaSettings, named_log

CANCEL_LIMIT: Final = 5.0
"""Seconds that a handler spends on a cancel before it raises its error."""

log: Final = named_log("kallback.sdk")
_LONGEST_DELAY_S: Final = 60
_WHY_S: Final = 10.0
_STEP_ATTEMPTS: Final = 5
"""How often Restate runs a step that fails because of a defect, before the error is terminal."""


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """All in-sync replicas have the record."""

    topic: str
    partition: int
    offset: int


class Unreachable(msgspec.Struct, frozen=True, tag="unreachable"):
    """No acknowledgement: the next try may bring one. The record may have been written nevertheless."""

    detail: str


class NotSetUp(msgspec.Struct, frozen=True, tag="not-set-up"):
    """The topic or a permission is missing; the detail says what to do. Deployments may come in another order."""

    kind: str
    status: int
    detail: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Kafka never accepts this record; the detail says what to do."""

    kind: str
    status: int
    detail: str


Publication = Sent | Unreachable | NotSetUp | Refused
Unpublished = Unreachable | NotSetUp
"""What the next try may cure."""


class PublishOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one publishing step.

    Attributes:
        sent: where the records are that Kafka has; None if it has none of them.
        failures: the records that Kafka does not have, by their index.
    """

    sent: PublishedTasks | None = None
    failures: dict[int, Unpublished | Refused] = {}

    def partitions(self) -> dict[TaskId, int]:
        """Where the records of tasks are."""
        return {} if self.sent is None else {task.task_id: task.partition for task in self.sent.tasks}


class CancelOutcome(msgspec.Struct, frozen=True):
    """The outcome of one step that cancels. Earlier versions journaled a `Publication`: it reads as the default.

    Attributes:
        sent: so that it begins as the value of a publishing step does: lists of tasks read both.
        given_up: the tasks that have ended so, if there are several: the name of the step has one.
        failure: the first one, if Kafka did not take a cancel.
    """

    sent: None = None
    given_up: list[TaskId] = []
    failure: Unpublished | Refused | None = None


OnSent = Callable[[Sequence[Publication], float], None]
"""Told of what a step has sent, and in how many seconds; never in a replay."""


def _ignore_sent(_publications: Sequence[Publication], _seconds: float) -> None:
    pass


class TaskPublisher:
    """Sends records through one producer, made at the first send: Restate's application has no start-up hook.

    Args:
        producer: use this one; its owner starts and stops it.
    """

    def __init__(self, settings: KafkaSettings, producer: Producer | None = None) -> None:
        self._settings: Final = settings
        self._given: Final = producer
        self._own: Producer | None = None
        self._asked: Final = InTurn()
        self._throttle: Final = LogThrottle(log)

    async def send(self, record: OutgoingRecord) -> Publication:
        """Send one record and return its outcome."""
        try:
            position = await self._producer().send(record)
        except KafkaUnavailableError as error:
            return Unreachable(await self._refusal() or str(error))
        except KallbackError as error:
            return publication_of(error)
        return Sent(position.topic, position.partition, position.offset)

    async def _refusal(self) -> str | None:
        """Say what refuses this process, if something does; the producer only notices that nothing is acknowledged.

        The task waits all the same: a password may be mended before its deadline.
        """
        if self._given is not None:
            return None
        from kallback.kafka import list_topics  # noqa: PLC0415 - a service in order does not load it

        try:
            async with asyncio.timeout(_WHY_S):
                await self._asked.ask(lambda: list_topics(self._settings))
        except (KafkaUnavailableError, TimeoutError):
            return None
        except KallbackError as error:
            self._throttle.warning("Kafka refuses this service, its tasks wait", kind="refused", detail=str(error))
            return str(error)
        return None

    async def send_all(self, records: Sequence[OutgoingRecord]) -> Sequence[Publication]:
        """Send records at once; their outcomes are in the same order."""
        if len(records) == 1:  # most steps: no asyncio task is needed
            return [await self.send(records[0])]
        return await asyncio.gather(*map(self.send, records))

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


def publication_of(error: KallbackError) -> Unpublished | Refused:
    """The outcome of a record that the producer raised for."""
    sentence = str(error)
    if isinstance(error, RecordTooLargeError):
        return Refused(RECORD_TOO_LARGE, TOO_LARGE, sentence)
    if isinstance(error, MissingTopicError):
        return NotSetUp(MISSING_TOPIC, INTERNAL, sentence)
    if isinstance(error, AccessDeniedError):
        return NotSetUp(ACCESS_DENIED, INTERNAL, sentence)
    if isinstance(error, ConfigurationError):
        return Refused(MISCONFIGURED, INTERNAL, sentence)
    return Unreachable(sentence)


class TaskBatch(Protocol):
    """The task records of one step, and what is known of their tasks."""

    @property
    def records(self) -> Sequence[OutgoingRecord]:
        """The records to send."""
        ...

    def published(self, sent: Mapping[int, Sent]) -> PublishedTasks:
        """What the journal keeps of those that were sent, by their index."""
        ...


def publish_step(
    ctx: Context,
    publisher: TaskPublisher,
    batch: TaskBatch,
    *,
    name: str,
    on_sent: OnSent = _ignore_sent,
    holding_time: Callable[[], float] | None = None,
) -> RestateDurableFuture[PublishOutcome]:
    """Issue one step that sends task records.

    `holding_time` says for how many seconds the acknowledgement of all of them is kept back; without it, not at all.
    """

    async def publish() -> PublishOutcome:
        begun = time.monotonic()
        publications = await publisher.send_all(batch.records)
        on_sent(publications, time.monotonic() - begun)
        sent = {index: it for index, it in enumerate(publications) if isinstance(it, Sent)}
        failures = {index: it for index, it in enumerate(publications) if not isinstance(it, Sent)}
        if holding_time is not None and not failures:
            await hold_acknowledgement(ctx, holding_time())
        return PublishOutcome(batch.published(sent) if sent else None, failures)

    return ctx.run_typed(name, publish, _PUBLISH_OPTIONS)


def cancel_step(
    ctx: Context,
    publisher: TaskPublisher,
    records: Callable[[], Sequence[OutgoingRecord]],
    *,
    name: str,
    given_up: Sequence[TaskId] = (),
) -> RestateDurableFuture[CancelOutcome]:
    """Issue the step that sends cancels: one try of a few seconds, because the handler has an error to raise.

    The records are made inside the step, because they carry the time.
    """

    async def cancel() -> CancelOutcome:
        try:
            async with asyncio.timeout(CANCEL_LIMIT):
                publications = await publisher.send_all(records())
        except TimeoutError:
            failure: Unpublished | Refused | None = Unreachable(
                f"Kafka did not acknowledge the cancel within {CANCEL_LIMIT:g} s"
            )
        else:
            failure = next((it for it in publications if not isinstance(it, Sent)), None)
        return CancelOutcome(given_up=list(given_up), failure=failure)

    return ctx.run_typed(name, cancel, _CANCEL_OPTIONS)


def retry_delays() -> Iterator[timedelta]:
    """The delays between tries to publish: 1 s, doubled up to one minute. No jitter: a replay needs the same delays."""
    seconds = 1
    while True:
        yield timedelta(seconds=seconds)
        seconds = min(2 * seconds, _LONGEST_DELAY_S)


_CANCEL_OPTIONS: Final = RunOptions[CancelOutcome](
    serde=StepSerde[CancelOutcome](CancelOutcome), max_attempts=_STEP_ATTEMPTS
)
_PUBLISH_OPTIONS: Final = RunOptions[PublishOutcome](
    serde=StepSerde[PublishOutcome](PublishOutcome), max_attempts=_STEP_ATTEMPTS
)
