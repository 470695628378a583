"""Settles records: writes what must be durable, then tells the consumer that the record is done.

Delivered results and their duplicates need nothing written, unless outcome records are switched on: they are done at
once, on the hot path. All others go through queues to a fixed number of settlement writers: the dead letter first, the
outcome record second, each acknowledged by Kafka, then the record is done. While Kafka does not answer, or refuses (no
such topic, no permission, no record of this size), a writer retries, with the record not done. What needs a dead letter
has writers of its own: while the dead-letter topic takes nothing, outcome records of good results are written.

Ownership: the settler owns its queues and its writers. Order: none between records. Cancellation: `stop` cancels the
writers; their records are not done and are redelivered, so a dead letter can exist twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.results.late_policy import NOT_DEAD_LETTERED
from kallback.bridge.stats import Settled
from kallback.kafka import DeadLetters, OutgoingRecord, Producer, Record, SummaryBuilder
from kallback.lifecycle import Backoff, retry
from kallback.protocol import (
    Answer,
    ConfigurationError,
    Failed,
    KafkaUnavailableError,
    Outcome,
    OutcomeRecord,
    RecordTooLargeError,
    SourcePosition,
    Token,
)
from kallback.protocol.by_hand import Deed, deed_in, deed_of, read_operator
from kallback.protocol.outcomes import AFTER_DEADLINE
from kallback.protocol.verification import Target, is_late

DEAD_LETTERED: Final = frozenset({Outcome.LATE, Outcome.UNUSABLE, Outcome.UNVERIFIED, Outcome.REJECTED})
"""Outcomes that leave a dead letter, except for some reasons of `late`."""
_UNVERIFIED_WRITERS: Final = 8
"""Their number is small: dead letters of unverified records must not take Kafka's time from the others."""
_CANCEL_TIMEOUT_S: Final = 2.0
_SIZE_BACKOFF: Final = Backoff(first=1.0, longest=10.0)
"""For a topic that takes not even a stub: an operator must raise its `max.message.bytes`."""
_LONGEST_FAILURE: Final = 200
"""Characters of the type of a failure in an outcome record; types are words, but a worker may write anything."""


class Settlement(msgspec.Struct, frozen=True):
    """What is to become of a record; not durable yet.

    Attributes:
        then: called when it is durable and the record is done.
        answer: that was delivered; None for what was not.
    """

    fetched: FetchedRecord
    outcome: Outcome
    target: Target | None = None
    reason: str | None = None
    detail: str = ""
    then: Callable[[], None] | None = None
    answer: Answer | None = None

    @property
    def dead_lettered(self) -> bool:
        """Whether it leaves a dead letter."""
        if self.outcome is Outcome.DELIVERED:
            return False
        return self.outcome in DEAD_LETTERED and self.reason not in NOT_DEAD_LETTERED


class Settler:
    """Gives each record its one outcome.

    Args:
        outcomes_topic: where outcome records are written; None switches them off.
        on_settled: told of every record after it is done. An error of it stops the bridge, with the record done.
    """

    def __init__(
        self,
        producer: Producer,
        dead_letters: DeadLetters,
        in_flight: InFlightLimit,
        context: BridgeContext,
        *,
        outcomes_topic: str | None,
        on_settled: Callable[[Settled], None] | None,
    ) -> None:
        self._producer = producer
        self._dead_letters = dead_letters
        self._in_flight = in_flight
        self._context = context
        self._stats = context.stats
        self._outcomes_topic = outcomes_topic
        self._on_settled = on_settled
        self._outcomes: asyncio.Queue[Settlement] = asyncio.Queue()
        self._letters: asyncio.Queue[Settlement] = asyncio.Queue()
        self._unverified: asyncio.Queue[Settlement] = asyncio.Queue()
        self._writers: list[asyncio.Task[None]] = []
        self._tell_of_letters = context.supervisor.guard("the in-flight limit", in_flight.tell_of_letters)

    async def start(self) -> None:
        """Start the settlement writers."""
        supervisor, writers = self._context.supervisor, self._context.options.writers
        self._writers = [
            *(supervisor.run(f"outcome-writer-{number}", self._write_all(self._outcomes)) for number in range(writers)),
            *(supervisor.run(f"letter-writer-{number}", self._write_all(self._letters)) for number in range(writers)),
            *(
                supervisor.run(f"unverified-writer-{number}", self._write_all(self._unverified))
                for number in range(min(writers, _UNVERIFIED_WRITERS))
            ),
        ]

    async def stop(self) -> None:
        """Cancel what is not written; stopping twice is fine."""
        writers, self._writers = self._writers, []
        await self._context.supervisor.cancel(writers, _CANCEL_TIMEOUT_S)

    def settle(self, settlement: Settlement) -> None:
        """Settle a record, now or when what must be written is durable."""
        if settlement.dead_lettered:
            self._context.log.warning(
                "result dead-lettered",
                kind=f"{settlement.outcome}-{settlement.reason}",
                record=repr(settlement.fetched.record),
                target=_shown(settlement.target),
                detail=settlement.detail,
            )
            if self._in_flight.await_letter(settlement.fetched):
                asyncio.get_running_loop().call_soon(self._tell_of_letters)
            is_verified = settlement.outcome is not Outcome.UNVERIFIED
            (self._letters if is_verified else self._unverified).put_nowait(settlement)
        elif self._outcomes_topic is not None:
            self._outcomes.put_nowait(settlement)
        else:
            self._finish(settlement)

    async def write_summary(self, summary: SummaryBuilder, first: Settlement, *, sample: bool) -> None:
        """Write the summary of records that are settled like the first one, and one outcome record for all of them."""
        reason = first.reason or first.outcome.value
        self._context.log.warning(
            "results dead-lettered in a summary",
            kind=f"summary-{reason}",
            records=summary.count,
            first=repr(summary.sample),
            detail=first.detail,
        )
        await self._retried(lambda: self._dead_letters.publish_summary(summary, reason, first.detail, sample=sample))
        self._stats.dead_letters[reason] += 1
        topic = self._outcomes_topic
        if topic is not None:
            at_ms = int(self._context.clocks.now() * 1000)
            source = _source_of(summary.sample)
            outcome = OutcomeRecord(first.outcome, source, at_ms, reason=reason, count=summary.count)
            await self._retried(lambda: self._producer.send(OutgoingRecord(topic, outcome.encode(), outcome.key())))

    def finish_counted(self, settlements: Sequence[Settlement]) -> None:
        """Tell the consumers that the records of a durable summary are done."""
        for each in settlements:
            self._count(each)
            self._stats.summarized[each.reason or each.outcome.value] += each.fetched.record.count
        self._in_flight.settled_aside(len(settlements), sum(each.fetched.record.count for each in settlements))
        if self._on_settled is not None:
            for each in settlements:
                self._notify(self._on_settled, each)

    async def _write_all(self, queue: asyncio.Queue[Settlement]) -> None:
        while True:
            settlement = await queue.get()
            try:
                await self._write(settlement)
                self._finish(settlement)
            except Exception as error:  # noqa: BLE001 - the record is not done, and the bridge stops with the error
                self._context.supervisor.fail("a settlement writer", error)

    async def _write(self, settlement: Settlement) -> None:
        if settlement.dead_lettered:
            await self._retried(lambda: self._write_dead_letter(settlement))
        topic = self._outcomes_topic
        if topic is not None:
            await self._retried(lambda: self._write_outcome(topic, settlement))

    async def _retried(self, write: Callable[[], Awaitable[object]]) -> None:
        """Write until Kafka has it: a refusal is an operator's to mend, and must not end what goes on without it."""

        async def written() -> None:
            await retry(
                write,
                self._context.options.backoff,
                errors=(KafkaUnavailableError, ConfigurationError),
                on_failure=self._count_failed_write,
                jitter=self._context.clocks.random,
            )

        await retry(written, _SIZE_BACKOFF, errors=RecordTooLargeError, on_failure=self._count_failed_write)

    def _count_failed_write(self, error: Exception, _delay: float) -> None:
        self._stats.write_retries += 1
        if not isinstance(error, ConfigurationError):  # `RefusedWrites` has said that
            self._context.log.warning("Kafka produce failed: retrying", kind="kafka", detail=str(error))

    async def _write_dead_letter(self, settlement: Settlement) -> None:
        reason = settlement.reason or settlement.outcome.value
        await self._dead_letters.publish(settlement.fetched.record, reason, settlement.detail)
        self._stats.dead_letters[reason] += 1

    async def _write_outcome(self, topic: str, settlement: Settlement) -> None:
        outcome = _outcome_record(settlement, at_ms=int(self._context.clocks.now() * 1000))
        await self._producer.send(OutgoingRecord(topic, outcome.encode(), outcome.key()))

    def _finish(self, settlement: Settlement) -> None:
        self._count(settlement)
        if settlement.then is not None:
            settlement.then()
        self._in_flight.release(settlement.fetched)
        if self._on_settled is not None:
            self._notify(self._on_settled, settlement)

    def _count(self, settlement: Settlement) -> None:
        """Tell the consumer that the record, or the run that it stands for, is done; count it."""
        fetched, stats = settlement.fetched, self._stats
        fetched.done()
        count = fetched.record.count
        stats.outcomes[settlement.outcome] += count
        stats.by_task_type.settle(settlement.target, settlement.outcome, settlement.reason, count)
        if settlement.reason is not None:
            stats.reasons[settlement.reason] += count

    def _notify(self, on_settled: Callable[[Settled], None], settlement: Settlement) -> None:
        """Call the user's function: its error must not undo the settlement, nor end a writer or the fetcher.

        Also one that is no `Exception`, such as a panic of an extension, or the `CancelledError` of a future that the
        function asks for its result: the callers can handle neither, and what else they settle would be left undone.
        """
        fetched = settlement.fetched
        try:
            count = fetched.record.count
            on_settled(
                Settled(fetched.record, settlement.outcome, settlement.reason, settlement.target, fetched.since, count)
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, the bridge stops with it
            self._context.supervisor.fail("on_settled", error)


def _shown(target: Target | None) -> str:
    """For the log; a bare awakeable id is a secret, so it is not shown."""
    if target is None:
        return "unknown"
    return repr(target) if isinstance(target, Token) else "a bare awakeable"


def _source_of(record: Record) -> SourcePosition:
    return SourcePosition(record.topic, record.partition, record.offset, record.timestamp_ms)


def _after_deadline(outcome: Outcome, token: Token | None, at_ms: int) -> str | None:
    """Restate accepts a result whether or not its handler still waits: what is known is that the deadline passed."""
    if outcome is not Outcome.DELIVERED or token is None or not is_late(token, at_ms, 0):
        return None
    return AFTER_DEADLINE


def _outcome_record(settlement: Settlement, *, at_ms: int) -> OutcomeRecord:
    record = settlement.fetched.record
    token = settlement.target if isinstance(settlement.target, Token) else None
    operator, answer = None if token is None else read_operator(record.headers), settlement.answer
    did = None if answer is None else deed_in(answer)
    failure = answer.problem_type() if isinstance(answer, Failed) and did is Deed.FAILED else None
    return OutcomeRecord(
        settlement.outcome,
        _source_of(record),
        at_ms,
        reason=settlement.reason or _after_deadline(settlement.outcome, token, at_ms),
        task_type=None if token is None else token.task_type,
        task_id=None if token is None else token.task_id,
        attempt=None if token is None else token.attempt,
        count=None if record.count == 1 else record.count,
        by=None if operator is None else operator.by,
        why=None if operator is None else operator.why or None,
        did=did if operator is None else deed_of(record.value, record.headers),
        failure=None if failure is None else failure[:_LONGEST_FAILURE],
    )
