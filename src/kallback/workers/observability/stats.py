"""What a worker has done since its start, and what it does now, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from kallback.health import Histogram, Phase
from kallback.kafka import GroupStatus


@dataclass(slots=True)
class WorkerCounts:
    """Counts since the start of one worker; every fetched record is in exactly one of them, except `retried`.

    Attributes:
        completed: results published and acknowledged.
        failed: failed results published and acknowledged.
        cancelled: cancelled while they ran; no result.
        expired: past their deadline while they ran; no result.
        skipped_cancelled: cancelled before they ran; no result.
        skipped_expired: past their deadline, or past the time to start by, before they ran; no result.
        attached: duplicates of running attempts, settled with them.
        dropped: duplicates of finished attempts.
        dead_lettered: dead-lettered, undecodable tasks (which also get a failed result) included.
        handed_back: unfinished at the end of a drain, and handed back to the caller, who sends the next attempt.
        abandoned: unfinished at the end of a drain, or held back when their partition went: left for another worker.
        retried: attempts that ended in an error of the worker itself and begin again; counted each time.
        dead_letter_reasons: the dead-lettered ones by their reason.
    """

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    skipped_cancelled: int = 0
    skipped_expired: int = 0
    attached: int = 0
    dropped: int = 0
    dead_lettered: int = 0
    handed_back: int = 0
    abandoned: int = 0
    retried: int = 0
    dead_letter_reasons: Counter[str] = field(default_factory=Counter[str])


class RunningTasks(msgspec.Struct, frozen=True):
    """What runs now.

    Attributes:
        by_type: running tasks by task type; 0 of a registered type of which none runs.
        oldest: seconds since the oldest of them began; 0 if none runs.
        slots: how many may run.
        held_back: records that wait in this worker, by reason: their type is at its `limit`, their key is busy
            (`order`), they are at their `last-chance`, the operating system gives no thread or process (`no-thread`),
            or they begin again after an error of the worker (`retry`).
    """

    by_type: Mapping[str, int]
    oldest: float
    slots: int
    held_back: Mapping[str, int] = {}


class WatchedWorker(Protocol):
    """What is looked at: a worker."""

    @property
    def phase(self) -> Phase:
        """Where in its life it is."""
        ...

    @property
    def counts(self) -> WorkerCounts:
        """What it has done."""
        ...

    @property
    def durations(self) -> Mapping[str, Histogram]:
        """How long its functions took, by task type."""
        ...

    @property
    def refused_cancels(self) -> Mapping[str, int]:
        """How many cancels were refused, by reason."""
        ...

    @property
    def control_records(self) -> Mapping[str, int]:
        """How many records of the control topic were read, by outcome."""
        ...

    @property
    def control_unread(self) -> str | None:
        """Why the control topic is not read now, so that cancels are not seen; None while it is."""
        ...

    @property
    def refused_writes(self) -> Mapping[str, str | None]:
        """What to do about each topic that it writes to, while the topic refuses records; None while it takes them."""
        ...

    def group_status(self) -> GroupStatus | None:
        """Its status in its group; None while it has no consumer."""
        ...

    def running(self) -> RunningTasks:
        """What runs now."""
        ...
