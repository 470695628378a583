"""Settles records that are not authenticated: anyone can write them, so they never delay verified ones.

    router ──► budget ──► whole: a dead letter of its own, by writers of their own
       ▲          └─────► summary: counted with others of its reason; its offset is done when the summary is durable
    screen ◄── reasons of which more come than the budget admits: for a moment, such records arrive as runs

A record that is counted is set aside: of it only the position is held, and the in-flight limits do not count it.
Records that wait to be written whole hold `_MAX_HELD_BYTES` at most; what comes beyond is counted, too. So a flood of
forged records is read as fast as their tokens can be verified.

Ownership: the settler owns one task, which writes one summary of each reason after the other: while one is written, the
next ones grow. Order: none between records. Cancellation: `stop` cancels the task; records whose summary is not durable
are not done and are redelivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.flood_screen import FloodScreen
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.kafka import Consumer, LetterBudget, LetterForm, Record, SummaryBuilder, position_of, size_of
from kallback.protocol import Outcome
from kallback.protocol.verification import UnverifiedResult

_MAX_HELD_BYTES: Final = 8 * 1024 * 1024
_INTERVAL_S: Final = 0.25
"""How long a summary grows: it delays no result, only the commit."""
_LONG_INTERVAL_S: Final = 2.5
"""The same when the bytes of the hour are used up; shorter than a rebalance waits for unfinished records."""
_WINDOW_SHARE: Final = 4
"""A summary is written earlier when it counts this part of a partition's window, so that reading goes on."""
_CANCEL_TIMEOUT_S: Final = 2.0


class PendingSummary:
    """A summary that grows, and the consumers that are told when it is durable.

    Attributes:
        detail: of the first record.
        positions: each record without key, value and headers, with its consumer and the time of its fetch.
    """

    __slots__ = ("counted", "detail", "positions", "reason")

    def __init__(self, reason: str, detail: str, counted: SummaryBuilder) -> None:
        self.reason = reason
        self.detail = detail
        self.counted = counted
        self.positions: list[FetchedRecord] = []


class UnverifiedSettler:
    """Gives each unverified record its outcome.

    Args:
        budget: what may be written whole.
        screen: refuses records while more come than are written whole.
        settler: writes whole dead letters, summaries, and outcome records.
    """

    def __init__(
        self,
        budget: LetterBudget,
        screen: FloodScreen,
        settler: Settler,
        in_flight: InFlightLimit,
        context: BridgeContext,
    ) -> None:
        self._budget = budget
        self._screen = screen
        self._settler = settler
        self._in_flight = in_flight
        self._context = context
        self._monotonic = context.clocks.monotonic
        self._full_at = max(1, context.options.consumer.window // _WINDOW_SHARE)
        self._pending: dict[str, PendingSummary] = {}
        self._complete: list[PendingSummary] = []
        self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write summaries."""
        self._task = self._context.supervisor.run("summary-writer", self._write_summaries())

    async def stop(self) -> None:
        """Cancel what is not written; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            await self._context.supervisor.cancel([task], _CANCEL_TIMEOUT_S)

    def flush(self) -> None:
        """Write what is counted now, and from now on without delay: the bridge drains."""
        self._full_at = 1
        self._full.set()

    def settle(self, records: Sequence[tuple[Record, UnverifiedResult]], consumer: Consumer, since: float) -> None:
        """Settle the unverified records of a fetch, when their dead letters or their summaries are durable."""
        counted: list[Record] = []
        for record, verdict in records:
            if record.refused is None:
                size = size_of(record)
                fits = not self._held_bytes or self._held_bytes + size <= _MAX_HELD_BYTES
                if fits and self._budget.decide(verdict.reason, size, since) is LetterForm.WHOLE:
                    self._write_whole(FetchedRecord(record, consumer, since, size), verdict)
                    continue
                self._screen.add(verdict.reason)
            counted.append(record)
            self._count(record, consumer, since, verdict)
        if counted:
            total = sum(record.count for record in counted)
            self._context.stats.fetched += total - len(counted)
            consumer.set_aside(counted)
            self._in_flight.set_aside(len(counted), total)

    def _write_whole(self, fetched: FetchedRecord, verdict: UnverifiedResult) -> None:
        self._in_flight.acquire(fetched)
        self._held_bytes += fetched.size

        def written() -> None:
            self._held_bytes -= fetched.size

        self._settler.settle(
            Settlement(fetched, Outcome.UNVERIFIED, None, verdict.reason, verdict.detail, then=written)
        )

    def _count(self, record: Record, consumer: Consumer, since: float, verdict: UnverifiedResult) -> None:
        pending = self._pending.get(verdict.reason)
        if pending is None:
            counted = SummaryBuilder(record, coarse=self._budget.is_used_up(since))
            pending = self._pending[verdict.reason] = PendingSummary(verdict.reason, verdict.detail, counted)
            self._arrived.set()
        else:
            pending.counted.add(record)
        pending.positions.append(FetchedRecord(position_of(record), consumer, since, 0))
        if pending.counted.is_full:
            self._complete.append(self._pending.pop(verdict.reason))
            self._full.set()
        elif len(pending.positions) >= self._full_at:
            self._full.set()

    async def _write_summaries(self) -> None:
        while True:
            await self._arrived.wait()
            used_up = self._budget.is_used_up(self._monotonic())
            await _set_within(self._full, _LONG_INTERVAL_S if used_up else _INTERVAL_S)
            self._arrived.clear()
            self._full.clear()
            due, self._complete, self._pending = [*self._complete, *self._pending.values()], [], {}
            for each in due:
                await self._settler.write_summary(
                    each.counted, each.reason, each.detail, sample=self._admits_sample(each)
                )
                self._budget.charge_summary(each.counted.size, self._monotonic())
                self._settler.finish_counted(each.positions, each.reason)

    def _admits_sample(self, pending: PendingSummary) -> bool:
        return self._budget.admits_bytes(size_of(pending.counted.sample), self._monotonic())


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
