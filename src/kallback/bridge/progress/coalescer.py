"""Which progress updates are sent to Restate, and when: at most one call per task and half interval. Pure.

Each task has at most one update that waits and one that is being sent. A newer one replaces the one that waits, whose
record may be settled at once: both are in one partition as far as one worker wrote them, so a crash brings the newer
one again. Its details are kept if the newer one has none.

A record that waits must not hold back the consumed marks of its partition: a worker that sends more often than every
half interval always has one waiting. So an update that was accepted *covers* the later records of its attempt for two
intervals from its own fetch: within that time the monitor needs none of them, because an attempt is lost after three.
One would be too little: an update may wait half an interval before it is sent, and the next one as long again. A worker
that does not say its interval gets one usual interval, because its limit may be shorter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.progress.decide import ProgressUpdate
from kallback.protocol import Signal, TaskId
from kallback.protocol.tasktypes import INTERVALS_UNTIL_LOST

USUAL_INTERVAL_S: Final = 2.0
"""Of a worker that does not say how often it sends heartbeats."""
_MIN_INTERVAL_S: Final = 0.1
_MAX_INTERVAL_S: Final = 60.0
_COVERED: Final = INTERVALS_UNTIL_LOST - 1
_FORGET_AFTER_S: Final = 120.0
"""A task without updates is forgotten after this time; its next update is then sent at once, which is harmless."""

Pending = tuple[ProgressUpdate, FetchedRecord]


@dataclass(slots=True)
class _TaskUpdates:
    attempt: int = 0
    waiting: Pending | None = None
    under_way: Pending | None = None
    not_before: float = 0.0
    covered_attempt: int | None = None
    covered_until: float = 0.0

    def uncovered(self, now: float) -> Iterator[FetchedRecord]:
        """Yield the records that the monitor may need now."""
        for pending in (self.under_way, self.waiting):
            if pending is None:
                continue
            update, fetched = pending
            if update.attempt != self.covered_attempt or now >= self.covered_until:
                yield fetched


@dataclass(slots=True)
class Coalescer:
    """The tasks that sent progress recently. Times are seconds of the clock of `FetchedRecord.since`."""

    _tasks: dict[TaskId, _TaskUpdates] = field(default_factory=dict[TaskId, _TaskUpdates])
    _next_sweep: float = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def has_waiting(self) -> bool:
        """Whether an update waits until it is due."""
        return any(task.waiting is not None for task in self._tasks.values())

    def add(self, update: ProgressUpdate, fetched: FetchedRecord) -> FetchedRecord | None:
        """Keep an update until it is due; return the record that needs no sending any more, which may be this one.

        The first one of a new attempt is due at once, whatever interval the worker of the last attempt told.
        """
        task = self._tasks.setdefault(update.task_id, _TaskUpdates())
        if update.attempt < task.attempt:
            return fetched
        if update.attempt > task.attempt:
            task.attempt, task.not_before = update.attempt, 0.0
        if task.waiting is None:
            task.waiting = (update, fetched)
            return None
        waiting, earlier = task.waiting
        task.waiting = (_merged(waiting, update), fetched)
        return earlier

    def due(self, now: float) -> Iterator[Pending]:
        """Take those that are due; each must be followed by `accepted`, `discarded` or `failed`."""
        self._sweep(now)
        for task in self._tasks.values():
            if task.waiting is not None and task.under_way is None and task.not_before <= now:
                task.under_way, task.waiting = task.waiting, None
                yield task.under_way

    def accepted(self, update: ProgressUpdate, fetched: FetchedRecord, now: float) -> None:
        """Restate has accepted it: it covers its attempt, and the next one is due after half an interval."""
        task = self._end(update, now)
        task.covered_attempt = update.attempt
        task.covered_until = fetched.since + _interval(update) * (1 if update.report.every_ms is None else _COVERED)

    def discarded(self, update: ProgressUpdate, now: float) -> None:
        """It is not sent again; the task's next one is due after half an interval."""
        self._end(update, now)

    def failed(self, update: ProgressUpdate, fetched: FetchedRecord, again_at: float) -> FetchedRecord | None:
        """Send it again at `again_at`, or a newer one if there is one; return the record that may be settled."""
        task = self._tasks[update.task_id]
        task.under_way, task.not_before = None, again_at
        if task.waiting is None:
            task.waiting = (update, fetched)
            return None
        newer, its_record = task.waiting
        if newer.attempt == update.attempt:
            task.waiting = (_merged(update, newer), its_record)
        return fetched

    def oldest_uncovered(self, now: float) -> dict[int, int]:
        """Return by partition the lowest offset whose update the monitor may still need."""
        oldest: dict[int, int] = {}
        for task in self._tasks.values():
            for fetched in task.uncovered(now):
                record = fetched.record
                oldest[record.partition] = min(record.offset, oldest.get(record.partition, record.offset))
        return oldest

    def _end(self, update: ProgressUpdate, now: float) -> _TaskUpdates:
        task = self._tasks[update.task_id]
        task.under_way = None
        if update.attempt == task.attempt:
            task.not_before = now + _interval(update) / 2
        return task

    def _sweep(self, now: float) -> None:
        if now < self._next_sweep:
            return
        self._next_sweep = now + _FORGET_AFTER_S
        silent = [key for key, each in self._tasks.items() if _is_silent(each, now)]
        for key in silent:
            del self._tasks[key]


def _is_silent(task: _TaskUpdates, now: float) -> bool:
    return task.waiting is None and task.under_way is None and task.not_before + _FORGET_AFTER_S < now


def _interval(update: ProgressUpdate) -> float:
    every_ms = update.report.every_ms
    interval = USUAL_INTERVAL_S if every_ms is None else every_ms / 1000
    return min(max(interval, _MIN_INTERVAL_S), _MAX_INTERVAL_S)


def _merged(earlier: ProgressUpdate, later: ProgressUpdate) -> ProgressUpdate:
    """Return the later one, with the details that only the earlier one has; a start is implied by any heartbeat."""
    if earlier.attempt != later.attempt or later.report.details or not earlier.report.details:
        return later
    report = msgspec.structs.replace(later.report, details=earlier.report.details, signal=Signal.HEARTBEAT)
    return msgspec.structs.replace(later, report=report)
