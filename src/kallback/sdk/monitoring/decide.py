"""The state of a watched task and the decisions on it. Pure: values in, verdicts out.

Two clocks meet here, and times of one clock are never compared with times of the other. The bridge's clock alone
decides whether an attempt is lost: the bridge stamps each heartbeat that it reads (`seen_ms`) and the time up to which
it has read its topics (the marks). The service's own clock decides only when to check next: a wrong clock makes a check
early or late, and never makes a verdict wrong.

`start_by_ms` is the exception: the handler's service sets it, and the bridge's marks must pass it.
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
from kallback.protocol.problems import PARTITIONS

EXPIRY_GRACE_MS: Final = 60_000
"""State is cleared this long after the task's deadline. It still exists then only if its handler was killed."""

_GATEWAY_TIMEOUT: Final = 504
_SHORTEST_DELAY_MS: Final = 100
_LEAST_CHECK_MS: Final = 250
"""Bridges report about once a second: this adds a quarter of it to the time until a worker is known to be lost."""
_MINUTE_MS: Final = 60_000
_LONGEST_DELAY_MS: Final = 24 * 3_600_000
_NOTHING: Final = msgspec.Raw(b"")


class WatchRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a handler asks for when it sends an attempt.

    Attributes:
        awakeable_id: is resolved with a failure when the attempt is lost.
        limit_ms: without a heartbeat for this long, the attempt is lost; None for a type without heartbeats.
        deadline_ms: the task's.
        details: what the attempt before ended with, newer than its last heartbeat; empty if its end said nothing.
    """

    task_type: str
    attempt: Attempt
    awakeable_id: AwakeableId
    dispatched_ms: int
    start_by_ms: int | None = None
    limit_ms: int | None = None
    deadline_ms: int | None = None
    details: msgspec.Raw = _NOTHING


class WatchMany(msgspec.Struct, frozen=True):
    """What a handler asks for when it sends the first attempts of many tasks."""

    watches: dict[TaskId, WatchRequest]


class WatchedTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a watched task.

    Attributes:
        watch: of the current attempt.
        generation: of the valid alarm; alarms of other generations are ignored.
        started_ms: by the worker's clock; None before a worker starts the attempt.
        heartbeat_ms: by the worker's clock.
        seen_ms: when the bridge last read a heartbeat of this attempt, by the bridge's clock.
        details: the last ones, of this attempt or an earlier one.
        details_ms: when this attempt's details last became others, by the worker's clock; None if they never did.
        partitions: which ones the attempt's worker reads, as it last said; empty if it did not.
        given_up: the attempt was failed; the state keeps the details for the next attempt.
    """

    watch: WatchRequest
    generation: int = 1
    started_ms: int | None = None
    heartbeat_ms: int | None = None
    seen_ms: int | None = None
    details: msgspec.Raw = _NOTHING
    given_up: bool = False
    partitions: str = ""
    details_ms: int | None = None

    def progress(self, task_id: TaskId) -> TaskProgress:
        """The state as `read` returns it."""
        watch = self.watch
        return TaskProgress(
            task_id,
            watch.task_type,
            watch.attempt,
            watch.dispatched_ms,
            self.started_ms,
            self.heartbeat_ms,
            self.details,
            self.details_ms,
        )

    def due_ms(self) -> int | None:
        """When the next heartbeat is due; None when none is expected."""
        if self.given_up:
            return None
        if self.seen_ms is None:
            return self.watch.start_by_ms
        return None if self.watch.limit_ms is None else self.seen_ms + self.watch.limit_ms

    def expires_ms(self) -> int | None:
        """When the state can be cleared."""
        deadline = self.watch.deadline_ms
        return None if deadline is None else deadline + EXPIRY_GRACE_MS

    def given_up_now(self) -> WatchedTask:
        """The state after the attempt was failed."""
        return replace(self, given_up=True, generation=self.generation + 1)


@dataclass(frozen=True, slots=True)
class CheckAgain:
    """Nothing is known to be wrong: check again after this many milliseconds."""

    in_ms: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """No heartbeat came in time; the marks decide whether the attempt is lost.

    Attributes:
        since_ms: when the heartbeat was due.
    """

    since_ms: int


@dataclass(frozen=True, slots=True)
class Expired:
    """Clear the state."""


@dataclass(frozen=True, slots=True)
class Idle:
    """No alarm is needed."""


class SuspectedLost(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that the bridges have read says that the attempt is lost. Void if a heartbeat comes meanwhile."""

    generation: int
    seen_ms: int | None = None


def begin(known: WatchedTask | None, watch: WatchRequest) -> WatchedTask:
    """The state after an attempt was sent; it has the last details."""
    details, watch = watch.details, replace(watch, details=_NOTHING)
    if known is None:
        return WatchedTask(watch, details=details)
    newest = details if bytes(details) else known.details
    return WatchedTask(watch, generation=known.generation + 1, details=newest)


def record_heartbeat(known: WatchedTask, heard: Heard) -> WatchedTask:
    """The state after a heartbeat of the current attempt.

    A new generation means that an alarm must be set: only the first heartbeat does that.
    """
    has_others = bool(bytes(heard.details)) and bytes(heard.details) != bytes(known.details)
    first = known.seen_ms is None and known.watch.limit_ms is not None and not known.given_up
    return replace(
        known,
        generation=known.generation + first,
        started_ms=heard.at_ms if known.started_ms is None else min(known.started_ms, heard.at_ms),
        heartbeat_ms=max(known.heartbeat_ms or 0, heard.at_ms),
        seen_ms=max(known.seen_ms or 0, heard.seen_ms),
        details=heard.details if bytes(heard.details) else known.details,
        partitions=heard.partitions or known.partitions,
        details_ms=heard.at_ms if has_others else known.details_ms,
    )


def first_check(watched: WatchedTask) -> CheckAgain | Idle:
    """When to check an attempt that is sent now for the first time."""
    return _until(_earliest(watched.due_ms(), watched.expires_ms()), watched.watch.dispatched_ms)


def check(watched: WatchedTask, now_ms: int) -> CheckAgain | Overdue | Expired | Idle:
    """What an alarm means."""
    due, expiry = watched.due_ms(), watched.expires_ms()
    if expiry is not None and now_ms >= expiry:
        return Expired()
    if due is not None and now_ms >= due:
        return Overdue(due)
    return _until(_earliest(due, expiry), now_ms)


def confirm_lost(
    watched: WatchedTask, overdue: Overdue, now_ms: int, marks: Iterable[Marks]
) -> CheckAgain | SuspectedLost:
    """Whether an overdue attempt is suspected lost: all marks must have passed the time when its heartbeat was due.

    Until then a bridge is down or behind, and the heartbeat may be unread in Kafka. The longer that lasts, the rarer
    the checks: four in a second at first, once a minute in the end.
    """
    if all((lowest(each) or 0) >= overdue.since_ms for each in marks):
        return SuspectedLost(watched.generation, watched.seen_ms)
    behind = (now_ms - overdue.since_ms) // 2
    least = min(_LEAST_CHECK_MS, watched.watch.limit_ms or _LEAST_CHECK_MS)
    return CheckAgain(min(_MINUTE_MS, max(least, behind)))


def still_lost(watched: WatchedTask, suspected: SuspectedLost) -> bool:
    """Whether no heartbeat came since the suspicion."""
    return (watched.generation, watched.seen_ms) == (suspected.generation, suspected.seen_ms)


def problem_of(watched: WatchedTask) -> Problem:
    """The failure of a lost attempt."""
    watch = watched.watch
    attempt = f"attempt {watch.attempt} of {watch.task_type}"
    if watched.seen_ms is None:
        detail = f"no worker started {attempt} in time: start more workers, or use a longer start_timeout"
        return Problem(NOT_STARTED, _GATEWAY_TIMEOUT, detail, retryable=True)
    seconds = (watch.limit_ms or 0) / 1000
    detail = f"no heartbeat of {attempt} for {seconds:g} s: its worker crashed or cannot reach Kafka"
    silent = {PARTITIONS: watched.partitions} if watched.partitions else {}
    return Problem(HEARTBEAT_LOST, _GATEWAY_TIMEOUT, detail, retryable=True, extensions=silent)


def merged(known: Marks | None, new: Marks) -> Marks:
    """Known and new marks together. A mark never decreases, and neither does a topic's number of partitions."""
    if known is None:
        return new
    partitions = max(known.partitions, new.partitions)
    latest = {p: max(known.marks.get(p, 0), new.marks.get(p, 0)) for p in known.marks.keys() | new.marks.keys()}
    return Marks(partitions, latest)


def lowest(marks: Marks) -> int | None:
    """The time up to which all partitions were read; None while one was never reported."""
    if marks.partitions < 1 or not marks.marks.keys() >= set(range(marks.partitions)):
        return None
    return min(marks.marks[partition] for partition in range(marks.partitions))


def _earliest(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)


def _until(time_ms: int | None, now_ms: int) -> CheckAgain | Idle:
    if time_ms is None:
        return Idle()
    return CheckAgain(min(_LONGEST_DELAY_MS, max(_SHORTEST_DELAY_MS, time_ms - now_ms)))
