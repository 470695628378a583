"""What a fetched record means. Pure: looks at the record, the clock's time and what is remembered, touches nothing.

The attempts of attempts outlives assignments. After a rebalance the same record may come to the same process
again while its first copy still runs: the copy *attaches* to that run and is settled with it. Dropping it instead
would let the commit position pass unfinished work. Only an attempt whose outcome is durable counts as finished.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from kallback.kafka import Record
from kallback.protocol.controls import Cancel
from kallback.protocol.errors import DecodeError, InvalidTaskError
from kallback.protocol.problems import PARKED_TASK, UNDECODABLE_TASK, Problem
from kallback.protocol.tasks import TaskHeaders
from kallback.protocol.tokens import Attempt, TaskId
from kallback.workers.registration.functions import TaskFunction

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
_UNDECODABLE_STATUS: Final = 422


class DeadLetterReason(StrEnum):
    """Why a task record is dead-lettered: header `kallback-dead-reason`."""

    NOT_A_TASK = "not-a-task"
    UNKNOWN_TASK_TYPE = "unknown-task-type"
    REFUSED_REPLY_TOPIC = "refused-reply-topic"
    UNDECODABLE_TASK = "undecodable-task"
    UNDELIVERABLE_RESULT = "undeliverable-result"
    PARKED = "parked"


class AttemptKey(NamedTuple):
    """Names one attempt of one task."""

    task_id: TaskId
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Run:
    """Do it.

    Attributes:
        last_chance: all processes that started it so far have died of something: nothing else runs beside it.
    """

    key: AttemptKey
    headers: TaskHeaders
    function: TaskFunction
    request: Any
    last_chance: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """It is ours but cannot be understood: the caller gets a failed result, people get a dead letter."""

    key: AttemptKey
    headers: TaskHeaders
    problem: Problem
    reason: DeadLetterReason


@dataclass(frozen=True, slots=True)
class AttachToRunning:
    """A copy of one that runs: settled together with it."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class DropFinished:
    """A copy of one whose outcome is durable, or that was acknowledged at its start: settled at once."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class SkipCancelled:
    """Nobody waits for it any more: settled at once, no result."""

    key: AttemptKey
    cancel: Cancel


@dataclass(frozen=True, slots=True)
class SkipExpired:
    """A time limit is past: settled at once, no result; the caller's own timer has told the caller.

    Attributes:
        limit: which one, for the log.
        late_ms: how long it is past.
    """

    key: AttemptKey
    limit: str
    late_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetterTask:
    """It can never be done and nobody can be told: a dead letter."""

    reason: DeadLetterReason
    detail: str


Skip = SkipCancelled | SkipExpired
Verdict = Run | Reject | AttachToRunning | DropFinished | SkipCancelled | SkipExpired | DeadLetterTask
FindCancel = Callable[[TaskId, Attempt], Cancel | None]


@dataclass(slots=True)
class AttemptTable:
    """The attempts that this process runs, and those that it has finished (a bounded number of them).

    Attributes:
        functions: registered functions by task type name.
        find_cancel: what is known of cancels.
        reply_topics: allowed reply topics; None allows all.
        finished_kept: how many finished attempts are remembered.
        clock_skew: seconds by which the caller's clock may be behind this one.
        deliveries: how often a record may be started.
    """

    functions: Mapping[str, TaskFunction]
    find_cancel: FindCancel
    reply_topics: frozenset[str] | None = None
    finished_kept: int = 10_000
    clock_skew: float = 0.0
    deliveries: int = 5
    _running: dict[AttemptKey, list[Record] | None] = field(
        init=False, default_factory=dict[AttemptKey, "list[Record] | None"]
    )
    _finished: OrderedDict[AttemptKey, None] = field(init=False, default_factory=OrderedDict[AttemptKey, None])

    def decide(self, record: Record, now_ms: int) -> Verdict:
        """Say what a record means; nothing changes. Never raises, whatever the bytes are."""
        try:
            headers = TaskHeaders.decode(record.headers)
        except InvalidTaskError as error:
            return DeadLetterTask(
                DeadLetterReason.NOT_A_TASK, f"{error}. Send tasks with kallback.sdk, or with the headers of its wire"
            )
        key = AttemptKey(headers.task_id, headers.attempt)
        if key in self._running:
            return DropFinished(key) if self._running[key] is None else AttachToRunning(key)
        if key in self._finished:
            return DropFinished(key)
        return self.skip(key, headers, now_ms) or self._decide_new(record, key, headers)

    def skip(self, key: AttemptKey, headers: TaskHeaders, now_ms: int) -> Skip | None:
        """Say whether an attempt that has not begun is worth beginning now; None if it is."""
        cancel = self.find_cancel(*key)
        if cancel is not None:
            return SkipCancelled(key, cancel)
        for limit, at_ms in (("deadline", headers.deadline_ms), ("time to start by", headers.start_by_ms)):
            if at_ms is not None and now_ms > at_ms + self.clock_skew * 1000:
                return SkipExpired(key, limit, now_ms - at_ms)
        return None

    def _decide_new(self, record: Record, key: AttemptKey, headers: TaskHeaders) -> Verdict:
        function = self.functions.get(headers.task_type)
        if function is None:
            return DeadLetterTask(
                DeadLetterReason.UNKNOWN_TASK_TYPE,
                f"no function here does task type {headers.task_type!r} (there is {', '.join(self.functions)}): "
                "register one with @worker.task, or give the type a topic of its own, then send the record again",
            )
        for what, topic in (("result", headers.reply_to), ("progress", headers.progress_to)):
            if topic is not None and not self._may_reply_to(topic):
                return DeadLetterTask(
                    DeadLetterReason.REFUSED_REPLY_TOPIC,
                    f"no {what} may go to {topic!r}: if it is yours, add it to WorkerOptions.reply_topics",
                )
        try:
            request = function.task_type.request_codec.decode(record.value or b"null")
        except DecodeError as error:
            return Reject(key, headers, _undecodable(headers.task_type, error), DeadLetterReason.UNDECODABLE_TASK)
        if record.deliveries > self.deliveries:
            return Reject(key, headers, _parked(self.deliveries), DeadLetterReason.PARKED)
        return Run(key, headers, function, request, last_chance=1 < self.deliveries == record.deliveries)

    def _may_reply_to(self, topic: str) -> bool:
        if self.reply_topics is not None:
            return topic in self.reply_topics
        return _TOPIC.fullmatch(topic) is not None and topic not in {".", ".."}

    def begin(self, key: AttemptKey, record: Record) -> None:
        """The attempt runs now."""
        self._running[key] = [record]

    def attach(self, key: AttemptKey, copy: Record) -> None:
        """A copy waits for the running attempt."""
        copies = self._running[key]
        if copies is not None:
            copies.append(copy)

    def release(self, key: AttemptKey) -> list[Record]:
        """The attempt goes on, but its record need not come again: return it and its copies, to be settled."""
        records, self._running[key] = self._running.get(key), None
        return records or []

    def finish(self, key: AttemptKey) -> list[Record]:
        """The attempt's outcome is durable: return its record and copies, to be settled."""
        records = self._running.pop(key) or []
        self._finished[key] = None
        while len(self._finished) > self.finished_kept:
            self._finished.popitem(last=False)
        return records

    def abandon(self, key: AttemptKey) -> None:
        """The attempt ended without a durable outcome: its records come again, here or elsewhere."""
        self._running.pop(key, None)


def _parked(deliveries: int) -> Problem:
    return Problem(
        type=PARKED_TASK,
        detail=f"the worker's process died {deliveries} times while it worked on this task, the last time on nothing "
        "else: mend the worker, then send the dead letter again",
        retryable=False,
    )


def _undecodable(task_type: str, error: DecodeError) -> Problem:
    return Problem(
        type=UNDECODABLE_TASK,
        status=_UNDECODABLE_STATUS,
        detail=f"the worker cannot read the request of task type {task_type}: it {error}. "
        "Give both sides the same request type",
        retryable=False,
    )
