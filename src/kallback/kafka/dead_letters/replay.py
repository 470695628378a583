"""Sends dead letters again, byte for byte, and writes down which ones.

In batches: the dead letters of a batch are sent at once, in order; when all are acknowledged, a replay marker names
them. After a crash (or Ctrl-C) at most one batch was sent and is not marked: the next run sends it again. Delivery is
at least once, as everywhere; the bridge drops duplicates.

A dead letter that cannot be sent does not stop the others, nor does one whose topic does not exist or may not be
written: who writes dead letters names the topic. An unavailable Kafka does, or a missing permission on the topic that
the replay was told to send to. Then the report says what was sent, and the same replay started again continues from
there.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from kallback.kafka.dead_letters.reader import DeadLetter, DeadLetterId, replay_marker
from kallback.kafka.dead_letters.stubs import MissingValue, recover_all
from kallback.kafka.dead_letters.writer import original_headers
from kallback.kafka.errors import TopicDeniedError
from kallback.kafka.records import OutgoingRecord, Position
from kallback.protocol.errors import AccessDeniedError, KallbackError, MissingTopicError, RecordTooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from kallback.kafka.dead_letters.stubs import FindRecords
    from kallback.kafka.dead_letters.summaries import LetterSummary, OffsetRange
    from kallback.kafka.producer import Producer
    from kallback.kafka.records import Record
    from kallback.protocol.by_hand import Operator

    Check = Callable[["DeadLetter"], str | None]
    ReadRange = Callable[[str, OffsetRange], AsyncGenerator[list[Record]]]

_BATCH: Final = 100
_BATCH_BYTES: Final = 8 * 1024 * 1024
_BATCHES_PER_SECOND: Final = 10
_MOST_CAUSES: Final = 100
_OTHER_CAUSES: Final = "other causes"


@dataclass(slots=True)
class ReplayFailure:
    """Dead letters that were not sent for one cause: how many, and the first as an example."""

    example: DeadLetterId
    count: int = 0


@dataclass(slots=True)
class ReplayReport:
    """What has been done so far; it is true after an interruption as well, and its size has a bound.

    Attributes:
        sent: number of dead letters that were sent and acknowledged.
        failed: dead letters that were not sent, by cause; causes beyond the first 100 are counted as one.
        records: number of records of summaries that were sent.
        left_out: number of records of summaries that must not be sent, by cause.
        unmarked: the number of those sent that no replay marker names yet: a further run sends them again.
        left_to_others: number of chosen dead letters that were not sent, because another replay had sent them
            meanwhile; who chooses counts them.
    """

    sent: int = 0
    failed: dict[str, ReplayFailure] = field(default_factory=dict[str, ReplayFailure])
    records: int = 0
    left_out: dict[str, int] = field(default_factory=dict[str, int])
    unmarked: int = 0
    left_to_others: int = 0

    def leave_out(self, cause: str) -> None:
        """Count a record of a summary that was not sent."""
        name = cause if cause in self.left_out or len(self.left_out) < _MOST_CAUSES else _OTHER_CAUSES
        self.left_out[name] = self.left_out.get(name, 0) + 1

    def fail(self, letter: DeadLetterId, cause: str) -> None:
        """Count a dead letter that was not sent."""
        name = cause if cause in self.failed or len(self.failed) < _MOST_CAUSES else _OTHER_CAUSES
        self.failed.setdefault(name, ReplayFailure(letter)).count += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How dead letters are replayed.

    Attributes:
        to: the topic to send to; default: each letter to the topic where it came from.
        per_second: maximum number of dead letters a second; default: as fast as Kafka accepts them.
        operator: who replays them and why, for the replay markers; default: they do not say.
    """

    to: str | None = None
    per_second: float | None = None
    operator: Operator | None = None


class Replayer:
    """Replays dead letters of one dead-letter topic.

    Args:
        topic: the dead-letter topic, for the replay markers.
        find: looks records up by their positions, for stubs; it is asked once for each batch and topic.
        read_range: reads a range of a topic, for summaries; None: summaries are not replayed.
        check: says why a dead letter must not be sent (None: it may be). It is asked about the whole record, after the
            record of a stub was read.
        clock: epoch seconds.
    """

    def __init__(  # noqa: PLR0913 - nine keyword arguments say more than a bundle
        self,
        producer: Producer,
        topic: str,
        *,
        find: FindRecords,
        read_range: ReadRange | None = None,
        check: Check = lambda _: None,
        options: ReplayOptions | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._find = find
        self._read_range = read_range
        self._check = check
        self._options = options or ReplayOptions()
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self.report = ReplayReport()

    async def replay(self, letters: AsyncIterator[DeadLetter]) -> ReplayReport:
        """Send the dead letters, in their order.

        Raises:
            AccessDeniedError, KafkaUnavailableError: no letter can be sent; `report` says what was sent before.
        """
        began = self._monotonic()
        limit = self._batch_size()
        batch: list[DeadLetter] = []
        async for letter in letters:
            if letter.summary is not None:
                await self._send(batch)
                await self._send_summary(letter, letter.summary)
                await self._pace(began)
                batch = []
                continue
            batch.append(letter)
            if len(batch) == limit or sum(map(_bytes_of, batch)) > _BATCH_BYTES:
                await self._send(batch)
                await self._pace(began)
                batch = []
        await self._send(batch)
        return self.report

    def _batch_size(self) -> int:
        rate = self._options.per_second
        return _BATCH if rate is None else max(1, min(_BATCH, int(rate / _BATCHES_PER_SECOND)))

    async def _pace(self, began: float) -> None:
        if self._options.per_second is not None:
            due = began + self.report.sent / self._options.per_second
            if (wait := due - self._monotonic()) > 0:
                await self._sleep(wait)

    async def _send(self, batch: list[DeadLetter]) -> None:
        """Send a batch; note what was acknowledged, also when something of it was not."""
        recovered = zip(batch, await recover_all(batch, self._find), strict=True)
        whole = [each for letter, found in recovered if (each := self._checked(letter, found)) is not None]
        sends = (self._producer.send(self._outgoing(letter)) for letter in whole)
        answers = await asyncio.gather(*sends, return_exceptions=True)
        sent = [letter.id for letter, answer in zip(whole, answers, strict=True) if isinstance(answer, Position)]
        self.report.sent += len(sent)
        self.report.unmarked += len(sent)
        failure = self._sort_out(whole, answers)
        if sent:
            await self._write_marker(sent, failure)
        if failure is not None:
            raise failure

    async def _send_summary(self, letter: DeadLetter, summary: LetterSummary) -> None:
        """Send every record of a summary that still exists; the replay marker follows the last one."""
        if self._read_range is None:
            self.report.fail(letter.id, f"it is a summary of {summary.count} records")
            return
        try:
            there = await self._send_ranges(letter, summary, self._read_range)
        except (MissingTopicError, AccessDeniedError) as error:
            self.report.fail(letter.id, str(error))
            return
        if not there:
            self.report.fail(letter.id, "the records of the summary are gone (retention)")
            return
        self.report.sent += 1
        self.report.unmarked += 1
        await self._write_marker([letter.id], None)

    async def _send_ranges(self, letter: DeadLetter, summary: LetterSummary, read_range: ReadRange) -> int:
        """Send the records of a summary; return how many there are."""
        there = 0
        for offsets in summary.ranges:
            async with aclosing(read_range(letter.source.topic, offsets)) as batches:
                async for records in batches:
                    there += len(records)
                    await self._send_records(letter, records)
        return there

    async def _send_records(self, letter: DeadLetter, records: list[Record]) -> None:
        """Send some records of a summary; those that must not be sent are counted with their cause."""
        sends: list[Awaitable[Position]] = []
        for record in records:
            whole = replace(
                letter,
                key=record.key,
                value=record.value,
                headers=original_headers(record.headers),
                summary=None,
                stub_bytes=None,
            )
            cause = record.unreadable.detail if record.unreadable is not None else self._check(whole)
            if cause is None:
                sends.append(self._producer.send(self._outgoing(whole)))
            else:
                self.report.leave_out(cause)
        await asyncio.gather(*sends)
        self.report.records += len(sends)

    def _checked(self, letter: DeadLetter, found: DeadLetter | MissingValue) -> DeadLetter | None:
        """The dead letter with its record; None, and a line in the report, if it cannot or must not be sent."""
        cause = found.why if isinstance(found, MissingValue) else self._check(found)
        if cause is None and isinstance(found, DeadLetter):
            return found
        self.report.fail(letter.id, cause or "")
        return None

    async def _write_marker(self, sent: list[DeadLetterId], failure: BaseException | None) -> None:
        try:
            at_ms = int(self._clock() * 1000)
            await self._producer.send(replay_marker(self._topic, sent, at_ms, self._options.operator))
        except KallbackError:
            if failure is None:  # else that one is told, it came first
                raise
        else:
            self.report.unmarked -= len(sent)

    def _sort_out(self, letters: list[DeadLetter], answers: list[Position | BaseException]) -> BaseException | None:
        """Keep the failures of single dead letters; return the first failure that concerns all."""
        first: BaseException | None = None
        for letter, answer in zip(letters, answers, strict=True):
            if isinstance(answer, RecordTooLargeError | MissingTopicError) or self._is_denied_by_its_own_topic(answer):
                self.report.fail(letter.id, str(answer))
            elif isinstance(answer, BaseException):
                first = first or answer
        return first

    def _is_denied_by_its_own_topic(self, answer: object) -> bool:
        return isinstance(answer, TopicDeniedError) and self._options.to is None

    def _outgoing(self, letter: DeadLetter) -> OutgoingRecord:
        return OutgoingRecord(self._options.to or letter.source.topic, letter.value, letter.key, letter.headers)


def _bytes_of(letter: DeadLetter) -> int:
    """How much a dead letter is when it is sent: a stub has its value then."""
    return len(letter.value or b"") + max(0, letter.stub_bytes or 0)
