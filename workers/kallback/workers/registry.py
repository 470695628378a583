"""What a fetched record means. Pure: looks at the record, the clock's time and what is remembered, touches nothing.

The registry of attempts outlives assignments. After a rebalance the same record may come to the same process
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
from kallback.protocol.problems import UNDECODABLE_TASK, Problem
from kallback.protocol.tasks import TaskHeaders
from kallback.protocol.tokens import Attempt, TaskId
from kallback.workers.functions import TaskFunction

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
_UNDECODABLE_STATUS: Final = 422


class DeadReason(StrEnum):
    """Why a task record is dead-lettered: header `kallback-dead-reason`."""

    NOT_A_TASK = "not-a-task"
    UNKNOWN_TASK_TYPE = "unknown-task-type"
    REFUSED_REPLY_TOPIC = "refused-reply-topic"
    UNDECODABLE_TASK = "undecodable-task"
    UNDELIVERABLE_RESULT = "undeliverable-result"


class AttemptKey(NamedTuple):
    """Names one attempt of one task."""

    task_id: TaskId
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Run:
    """Do it."""

    key: AttemptKey
    headers: TaskHeaders
    function: TaskFunction
    request: Any


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is ours but cannot be understood: the caller gets a failed result, people get a dead letter."""

    key: AttemptKey
    headers: TaskHeaders
    problem: Problem
    reason: DeadReason


@dataclass(frozen=True, slots=True)
class Attach:
    """A copy of one that runs: settled together with it."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class Drop:
    """A copy of one whose outcome is durable: settled at once."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class SkipCancelled:
    """Nobody waits for it any more: settled at once, no result."""

    key: AttemptKey
    cancel: Cancel


@dataclass(frozen=True, slots=True)
class SkipExpired:
    """Its deadline is past: settled at once, no result; the handler's own timer has told the caller."""

    key: AttemptKey
    late_ms: int


@dataclass(frozen=True, slots=True)
class Dead:
    """It can never be done and nobody can be told: a dead letter."""

    reason: DeadReason
    detail: str


Verdict = Run | Refuse | Attach | Drop | SkipCancelled | SkipExpired | Dead
FindCancel = Callable[[TaskId, Attempt], Cancel | None]


@dataclass(slots=True)
class Registry:
    """The attempts that this process runs, and those that it has finished (a bounded number of them).

    Attributes:
        functions: registered functions by task type name.
        find_cancel: what is known of cancels.
        reply_topics: allowed reply topics; None allows all.
        finished_kept: how many finished attempts are remembered.
    """

    functions: Mapping[str, TaskFunction]
    find_cancel: FindCancel
    reply_topics: frozenset[str] | None = None
    finished_kept: int = 10_000
    _running: dict[AttemptKey, list[Record]] = field(init=False, default_factory=dict[AttemptKey, list[Record]])
    _finished: OrderedDict[AttemptKey, None] = field(init=False, default_factory=OrderedDict[AttemptKey, None])

    def judge(self, record: Record, now_ms: int) -> Verdict:
        """Say what a record means; nothing changes. Never raises, whatever the bytes are."""
        try:
            headers = TaskHeaders.decode(record.headers)
        except InvalidTaskError as error:
            return Dead(
                DeadReason.NOT_A_TASK, f"{error}. Send tasks with kallback.sdk, or with the headers of its wire"
            )
        key = AttemptKey(headers.task_id, headers.attempt)
        if key in self._running:
            return Attach(key)
        if key in self._finished:
            return Drop(key)
        cancel = self.find_cancel(*key)
        if cancel is not None:
            return SkipCancelled(key, cancel)
        if headers.deadline_ms is not None and now_ms > headers.deadline_ms:
            return SkipExpired(key, now_ms - headers.deadline_ms)
        return self._judge_new(record, key, headers)

    def _judge_new(self, record: Record, key: AttemptKey, headers: TaskHeaders) -> Verdict:
        function = self.functions.get(headers.task_type)
        if function is None:
            return Dead(
                DeadReason.UNKNOWN_TASK_TYPE,
                f"no function here does task type {headers.task_type!r} (there is {', '.join(self.functions)}): "
                "register one with @worker.task, or give the type a topic of its own, then send the record again",
            )
        if not self._may_reply_to(headers.reply_to):
            return Dead(
                DeadReason.REFUSED_REPLY_TOPIC,
                f"no result may go to {headers.reply_to!r}: if it is yours, add it to WorkerOptions.reply_topics",
            )
        try:
            request = function.task_type.request_codec.decode(record.value or b"null")
        except DecodeError as error:
            return Refuse(key, headers, _undecodable(headers.task_type, error), DeadReason.UNDECODABLE_TASK)
        return Run(key, headers, function, request)

    def _may_reply_to(self, topic: str) -> bool:
        if self.reply_topics is not None:
            return topic in self.reply_topics
        return _TOPIC.fullmatch(topic) is not None and topic not in {".", ".."}

    def begin(self, key: AttemptKey, record: Record) -> None:
        """The attempt runs now."""
        self._running[key] = [record]

    def attach(self, key: AttemptKey, copy: Record) -> None:
        """A copy waits for the running attempt."""
        self._running[key].append(copy)

    def finish(self, key: AttemptKey) -> list[Record]:
        """The attempt's outcome is durable: return its record and copies, to be settled."""
        records = self._running.pop(key)
        self._finished[key] = None
        while len(self._finished) > self.finished_kept:
            self._finished.popitem(last=False)
        return records

    def abandon(self, key: AttemptKey) -> None:
        """The attempt ended without a durable outcome: its records come again, here or elsewhere."""
        self._running.pop(key, None)


def _undecodable(task_type: str, error: DecodeError) -> Problem:
    return Problem(
        type=UNDECODABLE_TASK,
        status=_UNDECODABLE_STATUS,
        detail=f"the worker cannot read the request of task type {task_type}: it {error}. "
        "Give both sides the same request type",
        retryable=False,
    )
