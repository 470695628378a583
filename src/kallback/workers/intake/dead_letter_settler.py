"""Dead-letters records that begin no attempt, so that they never delay tasks: everyone who may write can write them.

    fetch loop ──► budget ──► whole: a dead letter of its own
                     └──────► summary: counted with others of its reason; its offset is done when the summary is durable

They take no slot and no place in their partition. What waits to be written is bounded by `room`; of a counted record
only the position is held. Only records that are no task are counted: a caller may wait for a task, and its dead letter
is for people. While the dead-letter topic refuses, they are counted when as many wait as may be written at a time.

Ownership: each write is one of the attempts in flight, so that a drain waits for it. Order: none between records; of
each reason one summary after the other, and while one is written the next one grows. Cancellation: what is not durable
is not settled and comes again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kallback.kafka import LetterBudget, LetterForm, Record, SummaryBuilder, position_of, size_of
from kallback.workers.attempts.dead_letter_reason import DeadLetterReason
from kallback.workers.attempts.decide import DeadLetterTask
from kallback.workers.attempts.runner import AttemptRunner
from kallback.workers.intake.consumer_supervisor import ConsumerSupervisor
from kallback.workers.intake.in_flight import InFlightAttempts

_COUNTED: Final = frozenset(
    {DeadLetterReason.NOT_A_TASK, DeadLetterReason.TOO_MANY_HEADERS, DeadLetterReason.UNREADABLE}
)
_MAX_COUNTED_WRITES: Final = 256
"""Beyond so many, records that may be counted are."""
_MAX_WRITES: Final = 1_000
_MAX_HELD_BYTES: Final = 4 * 1024 * 1024
_MAX_POSITIONS: Final = 20_000
_FULL_AT: Final = 2_000
"""Records of one summary: settling them takes the loop about 10 ms."""
_INTERVAL_S: Final = 0.25
"""How long a summary grows: it delays no task, only the commit."""
_LONG_INTERVAL_S: Final = 2.5
"""The same when the bytes of the hour are used up; shorter than a rebalance waits for unfinished records."""


@dataclass(slots=True)
class _Growing:
    """A summary that grows.

    Attributes:
        detail: of the first record.
        positions: each record without key, value and headers.
    """

    detail: str
    counted: SummaryBuilder
    positions: list[Record]
    full: asyncio.Event = field(default_factory=asyncio.Event)


class DeadLetterSettler:
    """Writes dead letters and settles their records.

    Args:
        budget: what may be written whole.
        runner: writes.
        consumer: is told what need not come again.
        in_flight: runs the writes.
    """

    def __init__(
        self, budget: LetterBudget, runner: AttemptRunner, consumer: ConsumerSupervisor, in_flight: InFlightAttempts
    ) -> None:
        self._budget: Final = budget
        self._runner: Final = runner
        self._consumer: Final = consumer
        self._in_flight: Final = in_flight
        self._growing: Final = dict[DeadLetterReason, _Growing]()
        self._writing: Final = {reason: asyncio.Lock() for reason in _COUNTED}
        self._aside: Final = list[Record]()  # of this fetch: the consumer is told once
        self._writes = self._held_bytes = self._positions = 0
        self._has_room: Final = asyncio.Event()
        self._has_room.set()

    @property
    def is_writing(self) -> bool:
        """Whether records wait for their dead letters to be durable."""
        return self._writes > 0 or self._positions > 0

    async def room(self) -> None:
        """Return when the next records may come; call it after each fetch."""
        if self._aside:
            self._consumer.set_aside(self._aside)
            self._aside.clear()
        await self._has_room.wait()

    def settle(self, record: Record, verdict: DeadLetterTask, retry: Callable[[Record], None]) -> None:
        """Dead-letter a record, then settle it; `retry` is given one whose write ends in an error of the worker."""
        size = size_of(record)
        self._aside.append(record)
        if verdict.reason in _COUNTED and self._form_of(verdict.reason, size) is LetterForm.SUMMARY:
            self._count(record, verdict)
        else:
            self._hold(1, size)
            write = self._runner.dead_letter(record, verdict)
            self._in_flight.start(write, partial(self._on_written, record, size, retry))

    def _form_of(self, reason: DeadLetterReason, size: int) -> LetterForm:
        if self._writes >= _MAX_COUNTED_WRITES or self._held_bytes + size > _MAX_HELD_BYTES // 2:
            return LetterForm.SUMMARY
        return self._budget.decide(reason.value, size, time.monotonic())

    def _on_written(
        self, record: Record, size: int, retry: Callable[[Record], None], error: BaseException | None
    ) -> None:
        self._hold(-1, -size)
        if error is not None:
            retry(record)

    def _count(self, record: Record, verdict: DeadLetterTask) -> None:
        growing = self._growing.get(verdict.reason)
        if growing is None:
            growing = _Growing(verdict.detail, SummaryBuilder(record), [])
            self._growing[verdict.reason] = growing
            self._in_flight.start(self._write_summary(verdict.reason, growing), _ignore)
        else:
            growing.counted.add(record)
        growing.positions.append(position_of(record))
        self._hold(0, 0, positions=1)
        if growing.counted.count >= _FULL_AT or growing.counted.is_full:
            self._growing.pop(verdict.reason)
            growing.full.set()

    async def _write_summary(self, reason: DeadLetterReason, growing: _Growing) -> None:
        used_up = self._budget.is_used_up(time.monotonic())
        try:
            async with asyncio.timeout(_LONG_INTERVAL_S if used_up else _INTERVAL_S):
                await growing.full.wait()
        except TimeoutError:
            pass
        async with self._writing[reason]:
            if self._growing.get(reason) is growing:
                del self._growing[reason]
            size = size_of(growing.counted.sample)
            sample = self._budget.admits_bytes(size, time.monotonic())
            await self._runner.dead_letter_summary(growing.counted, reason, growing.detail, sample=sample)
            self._budget.charge_summary(growing.counted.size, time.monotonic())
        for record in growing.positions:
            self._consumer.settle(record)
        self._hold(0, 0, positions=-len(growing.positions))

    def _hold(self, writes: int, size: int, positions: int = 0) -> None:
        self._writes += writes
        self._held_bytes += size
        self._positions += positions
        is_full = (
            self._writes >= _MAX_WRITES or self._held_bytes >= _MAX_HELD_BYTES or self._positions >= _MAX_POSITIONS
        )
        if is_full:
            self._has_room.clear()
        else:
            self._has_room.set()


def _ignore(_error: BaseException | None) -> None:
    """What is not durable is not settled, and comes again."""
