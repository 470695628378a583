"""What is known of a task that somebody watches, and what follows from it. Pure: values in, verdicts out.

Two clocks meet here, and only like is compared with like. Whether an attempt is lost is decided by the bridge's clock
alone: it stamps what it hears (`seen_ms`) and up to when it has read everything (the marks). The service's own clock
only says when to look next, so a wrong one makes a look come early or late, never a verdict wrong.

`start_by_ms` is the exception: the handler's service draws it, the bridge's marks must pass it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from kallback.protocol import (
    HEARTBEAT_LOST,
    NOT_STARTED,
    Attempt,
    AwakeableId,
    Heard,
    Marks,
    Problem,
    TaskId,
    TaskProgress,
)

EXPIRY_GRACE_MS: Final = 60_000
"""After its task's deadline a state is of no use to anybody; it is only still there if its handler was killed."""

_GATEWAY_TIMEOUT: Final = 504
_SOONEST_MS: Final = 100
_SECOND_MS: Final = 1_000
"""Bridges report about once a second."""
_MINUTE_MS: Final = 60_000
_LONGEST_DELAY_MS: Final = 24 * 3_600_000
_NOTHING: Final = msgspec.Raw(b"")


class Watch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a handler asks for, when it sends an attempt.

    Attributes:
        awakeable_id: what is resolved with a failure when the attempt is lost.
        limit_ms: after so long without a heartbeat it is lost; None without heartbeats.
        deadline_ms: the task's.
    """

    task_type: str
    attempt: Attempt
    awakeable_id: AwakeableId
    dispatched_ms: int
    start_by_ms: int | None = None
    limit_ms: int | None = None
    deadline_ms: int | None = None


class Watched(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a task that is watched.

    Attributes:
        watch: of the present attempt.
        generation: of the alarm that counts; others are ignored.
        started_ms: by the worker's clock; None while nobody has.
        heartbeat_ms: by the worker's clock.
        seen_ms: when the bridge last heard of this attempt, by its clock.
        details: the last ones, of this attempt or an earlier one.
        given_up: it was failed already; what is kept are the details, for the next attempt.
    """

    watch: Watch
    generation: int = 1
    started_ms: int | None = None
    heartbeat_ms: int | None = None
    seen_ms: int | None = None
    details: msgspec.Raw = _NOTHING
    given_up: bool = False

    def progress(self, task_id: TaskId) -> TaskProgress:
        """What whoever asks is told."""
        watch = self.watch
        return TaskProgress(
            task_id,
            watch.task_type,
            watch.attempt,
            watch.dispatched_ms,
            self.started_ms,
            self.heartbeat_ms,
            self.details,
        )

    def due_ms(self) -> int | None:
        """When it must have been heard of; None when there is nothing to wait for."""
        if self.given_up:
            return None
        if self.seen_ms is None:
            return self.watch.start_by_ms
        return None if self.watch.limit_ms is None else self.seen_ms + self.watch.limit_ms

    def expires_ms(self) -> int | None:
        """When the state is of no use any more."""
        deadline = self.watch.deadline_ms
        return None if deadline is None else deadline + EXPIRY_GRACE_MS

    def given_up_now(self) -> Watched:
        """The same after its failure was told."""
        return replace(self, given_up=True, generation=self.generation + 1)


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing is wrong that can be known now: look again after so many milliseconds."""

    in_ms: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """It was not heard of in time; whether it is lost, the marks say.

    Attributes:
        since_ms: when it was due.
    """

    since_ms: int


@dataclass(frozen=True, slots=True)
class Expired:
    """Clear the state."""


@dataclass(frozen=True, slots=True)
class AtRest:
    """No alarm is needed."""


class Suspicion(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that bridges have read says that an attempt is lost; true unless something changes until it is confirmed."""

    generation: int
    seen_ms: int | None = None


def begin(known: Watched | None, watch: Watch) -> Watched:
    """The state after an attempt was sent; the last details go over to it."""
    if known is None:
        return Watched(watch)
    return Watched(watch, generation=known.generation + 1, details=known.details)


def hear(known: Watched, heard: Heard) -> Watched:
    """The state after the present attempt was heard of.

    A new generation means that an alarm must be set: only the first sign of life does that.
    """
    first = known.seen_ms is None and known.watch.limit_ms is not None and not known.given_up
    return replace(
        known,
        generation=known.generation + first,
        started_ms=heard.at_ms if known.started_ms is None else min(known.started_ms, heard.at_ms),
        heartbeat_ms=max(known.heartbeat_ms or 0, heard.at_ms),
        seen_ms=max(known.seen_ms or 0, heard.seen_ms),
        details=heard.details if bytes(heard.details) else known.details,
    )


def first_look(watched: Watched) -> LookAgain | AtRest:
    """When to look for the first time at an attempt that is sent now."""
    return _until(_earliest(watched.due_ms(), watched.expires_ms()), watched.watch.dispatched_ms)


def look(watched: Watched, now_ms: int) -> LookAgain | Overdue | Expired | AtRest:
    """What an alarm means."""
    due, expiry = watched.due_ms(), watched.expires_ms()
    if expiry is not None and now_ms >= expiry:
        return Expired()
    if due is not None and now_ms >= due:
        return Overdue(due)
    return _until(_earliest(due, expiry), now_ms)


def weigh(watched: Watched, overdue: Overdue, now_ms: int, marks: Iterable[Marks]) -> LookAgain | Suspicion:
    """Whether an attempt that was not heard of is suspected of being lost: all marks must have passed its due time.

    As long as they have not, a bridge is away or behind, and the sign of life may lie unread in Kafka. The longer that
    lasts, the rarer are the looks: once a second at first, once a minute at last.
    """
    if all((lowest(each) or 0) >= overdue.since_ms for each in marks):
        return Suspicion(watched.generation, watched.seen_ms)
    behind = (now_ms - overdue.since_ms) // 2
    least = min(_SECOND_MS, watched.watch.limit_ms or _SECOND_MS)
    return LookAgain(min(_MINUTE_MS, max(least, behind)))


def confirmed(watched: Watched, suspicion: Suspicion) -> bool:
    """Whether nothing has been heard since the suspicion."""
    return (watched.generation, watched.seen_ms) == (suspicion.generation, suspicion.seen_ms)


def problem_of(watched: Watched) -> Problem:
    """Why an attempt is given up."""
    watch = watched.watch
    attempt = f"attempt {watch.attempt} of {watch.task_type}"
    if watched.seen_ms is None:
        detail = f"no worker started {attempt} in time: start more of them, or give it a longer start_timeout"
        return Problem(NOT_STARTED, _GATEWAY_TIMEOUT, detail, retryable=True)
    seconds = (watch.limit_ms or 0) / 1000
    detail = f"no heartbeat of {attempt} for {seconds:g} s: its worker died, or does not reach Kafka"
    return Problem(HEARTBEAT_LOST, _GATEWAY_TIMEOUT, detail, retryable=True)


def merged(known: Marks | None, new: Marks) -> Marks:
    """Marks never go back, and a topic never gets fewer partitions."""
    if known is None:
        return new
    partitions = max(known.partitions, new.partitions)
    latest = {p: max(known.marks.get(p, 0), new.marks.get(p, 0)) for p in known.marks.keys() | new.marks.keys()}
    return Marks(partitions, latest)


def lowest(marks: Marks) -> int | None:
    """Up to when all partitions were read; None while one was never reported."""
    if marks.partitions < 1 or not marks.marks.keys() >= set(range(marks.partitions)):
        return None
    return min(marks.marks[partition] for partition in range(marks.partitions))


def _earliest(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)


def _until(time_ms: int | None, now_ms: int) -> LookAgain | AtRest:
    if time_ms is None:
        return AtRest()
    return LookAgain(min(_LONGEST_DELAY_MS, max(_SOONEST_MS, time_ms - now_ms)))
