"""Counts records that get no dead letter of their own: one summary stands for all of one outcome and reason.

A record that is counted is set aside: of it only the position is held, and the in-flight limits do not count it. Its
offset is done when its summary is durable.

Ownership: one task writes one summary of each kind after the other: while one is written, the next ones grow. Order:
none between records. Cancellation: `stop` cancels the task; records whose summary is not durable are not done and are
redelivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from kallback.bridge.context import BridgeContext
from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.kafka import Consumer, LetterBudget, SummaryBuilder, position_of, size_of
from kallback.protocol import Outcome

_INTERVAL_S: Final = 0.25
"""How long a summary grows: it delays no result, only the commit."""
_LONG_INTERVAL_S: Final = 2.5
"""The same when the bytes of the hour are used up; shorter than a rebalance waits for unfinished records."""
_WINDOW_SHARE: Final = 4
"""A summary is written earlier when it counts this part of a partition's window, so that reading goes on."""
_CANCEL_TIMEOUT_S: Final = 2.0


class _OpenSummary:
    """A summary that grows.

    Attributes:
        first: says outcome, reason and detail.
        settlements: of all records, which have no key, value and headers any more.
    """

    __slots__ = ("counted", "first", "settlements")

    def __init__(self, first: Settlement, counted: SummaryBuilder) -> None:
        self.first = first
        self.counted = counted
        self.settlements: list[Settlement] = []


class Summaries:
    """Writes summaries and tells the consumers of the records that they count.

    Args:
        budget: charged for each summary.
    """

    def __init__(
        self, budget: LetterBudget, settler: Settler, in_flight: InFlightLimit, context: BridgeContext
    ) -> None:
        self._budget = budget
        self._settler = settler
        self._in_flight = in_flight
        self._context = context
        self._monotonic = context.clocks.monotonic
        self._full_at = max(1, context.options.consumer.window // _WINDOW_SHARE)
        self._growing: dict[tuple[Outcome, str | None], _OpenSummary] = {}
        self._complete: list[_OpenSummary] = []
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write summaries."""
        self._task = self._context.supervisor.run("summary-writer", self._write_all())

    async def stop(self) -> None:
        """Cancel what is not written; stopping twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            await self._context.supervisor.cancel([task], _CANCEL_TIMEOUT_S)

    def flush(self) -> None:
        """Write what is counted now, and from now on without delay: the bridge drains."""
        self._full_at = 1
        self._full.set()

    def count(self, settlements: Sequence[Settlement], consumer: Consumer) -> None:
        """Count records of one consumer, each of which may stand for a run. Summaries are of one outcome and reason."""
        if not settlements:
            return
        for each in settlements:
            self._add(each)
        counted = [each.fetched.record for each in settlements]
        consumer.set_aside(counted)
        self._in_flight.set_aside(len(counted), sum(record.count for record in counted))

    def _add(self, settlement: Settlement) -> None:
        fetched, kind = settlement.fetched, (settlement.outcome, settlement.reason)
        position = _without_content(settlement)
        growing = self._growing.get(kind)
        if growing is None:
            counted = SummaryBuilder(fetched.record, coarse=self._budget.is_used_up(fetched.since))
            growing = self._growing[kind] = _OpenSummary(position, counted)
            self._arrived.set()
        else:
            growing.counted.add(fetched.record)
        growing.settlements.append(position)
        if growing.counted.is_full:
            self._complete.append(self._growing.pop(kind))
            self._full.set()
        elif len(growing.settlements) >= self._full_at:
            self._full.set()

    async def _write_all(self) -> None:
        while True:
            await self._arrived.wait()
            used_up = self._budget.is_used_up(self._monotonic())
            await _set_within(self._full, _LONG_INTERVAL_S if used_up else _INTERVAL_S)
            self._arrived.clear()
            self._full.clear()
            due, self._complete, self._growing = [*self._complete, *self._growing.values()], [], {}
            for each in due:
                await self._write(each)

    async def _write(self, growing: _OpenSummary) -> None:
        counted = growing.counted
        sample = self._budget.admits_bytes(size_of(counted.sample), self._monotonic())
        await self._settler.write_summary(counted, growing.first, sample=sample)
        self._budget.charge_summary(counted.size, self._monotonic())
        self._settler.finish_counted(growing.settlements)


def _without_content(settlement: Settlement) -> Settlement:
    """Return the settlement of the same record, of which only the position is held."""
    fetched = settlement.fetched
    position = FetchedRecord(position_of(fetched.record), fetched.consumer, fetched.since, 0)
    return msgspec.structs.replace(settlement, fetched=position)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
