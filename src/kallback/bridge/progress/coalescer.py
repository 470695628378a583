"""Which heartbeats go to Restate, and when: at most one call per task and half interval. Pure but for its memory.

Each task has at most one record that waits and one that is on its way. A newer one takes the place of the one that
waits, which may be settled at once: both lie in one partition as far as one worker wrote them, so a crash brings the
newer one again. Its details are kept if the newer one has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kallback.bridge.progress.decide import ProgressUpdate
from kallback.kafka import Record
from kallback.protocol import Signal, TaskId

USUAL_INTERVAL: Final = 2.0
"""Seconds; of a worker that does not say how often it will be heard of."""
_SHORTEST: Final = 0.1
_LONGEST: Final = 60.0
_REMEMBERED: Final = 120.0
"""Seconds after which a silent task is forgotten; its next heartbeat goes out at once, which is harmless."""


@dataclass(slots=True)
class _Task:
    waiting: tuple[ProgressUpdate, Record] | None = None
    under_way: bool = False
    not_before: float = 0.0


@dataclass(slots=True)
class Coalescer:
    """The tasks that were heard of lately. Times are seconds of one monotonic clock."""

    _tasks: dict[TaskId, _Task] = field(default_factory=dict[TaskId, _Task])
    _next_sweep: float = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, update: ProgressUpdate, record: Record) -> Record | None:
        """Keep a record until it is its turn; return the one that need not go any more, which may be this one."""
        task = self._tasks.setdefault(update.task_id, _Task())
        if task.waiting is None:
            task.waiting = (update, record)
            return None
        waiting, earlier = task.waiting
        if update.attempt < waiting.attempt:
            return record
        task.waiting = (_merged(waiting, update), record)
        return earlier

    def due(self, now: float) -> Iterator[tuple[ProgressUpdate, Record]]:
        """Take those whose turn it is; each must be told `sent` or `failed`."""
        self._sweep(now)
        for task in self._tasks.values():
            if task.waiting is not None and not task.under_way and task.not_before <= now:
                update, record = task.waiting
                task.waiting, task.under_way = None, True
                yield update, record

    def sent(self, update: ProgressUpdate, now: float) -> None:
        """It arrived, or never will: the task's next one may go after half an interval."""
        task = self._tasks[update.task_id]
        task.under_way = False
        task.not_before = now + _half(update)

    def failed(self, update: ProgressUpdate, record: Record, again_at: float) -> Record | None:
        """It did not arrive: try again then, with a newer one if there is one; return what may be settled."""
        task = self._tasks[update.task_id]
        task.under_way, task.not_before = False, again_at
        if task.waiting is None:
            task.waiting = (update, record)
            return None
        newer, its_record = task.waiting
        if newer.attempt == update.attempt:
            task.waiting = (_merged(update, newer), its_record)
        return record

    def _sweep(self, now: float) -> None:
        if now < self._next_sweep:
            return
        self._next_sweep = now + _REMEMBERED
        silent = [key for key, each in self._tasks.items() if _is_silent(each, now)]
        for key in silent:
            del self._tasks[key]


def _is_silent(task: _Task, now: float) -> bool:
    return task.waiting is None and not task.under_way and task.not_before + _REMEMBERED < now


def _half(update: ProgressUpdate) -> float:
    every_ms = update.report.every_ms
    interval = USUAL_INTERVAL if every_ms is None else every_ms / 1000
    return min(max(interval, _SHORTEST), _LONGEST) / 2


def _merged(earlier: ProgressUpdate, later: ProgressUpdate) -> ProgressUpdate:
    """The later one, with the details that only the earlier one has; a start is told by any heartbeat after it."""
    if earlier.attempt != later.attempt or later.report.details or not earlier.report.details:
        return later
    report = msgspec.structs.replace(later.report, details=earlier.report.details, signal=Signal.HEARTBEAT)
    return msgspec.structs.replace(later, report=report)
