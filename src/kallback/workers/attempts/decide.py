"""What a fetched record means. Pure: looks at the record, the rules, the time and what is known; touches nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from kallback.kafka import Record
from kallback.protocol.controls import Cancel
from kallback.protocol.errors import DecodeError, InvalidTaskError
from kallback.protocol.problems import HEARTBEAT_LOST, PARKED_TASK, UNDECODABLE_TASK, UNKNOWN_TASK_TYPE, Problem
from kallback.protocol.tasks import TaskHeaders
from kallback.protocol.tokens import Attempt, TaskId
from kallback.workers.attempts.dead_letter_reason import DeadLetterReason
from kallback.workers.attempts.reply_policy import ReplyPolicy
from kallback.workers.registration.functions import TaskFunction

_UNDECODABLE_STATUS: Final = 422
_UNKNOWN_STATUS: Final = 501
_LOST_STATUS: Final = 504


class AttemptKey(NamedTuple):
    """Names one attempt of one task."""

    task_id: TaskId
    attempt: Attempt


class AttemptState(Enum):
    """What this process knows of an attempt."""

    NEW = auto()
    RUNNING = auto()
    """Its record is settled with it."""
    ACKNOWLEDGED = auto()
    """It runs, and its record is settled already."""
    FINISHED = auto()
    """Its outcome is durable."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run it.

    Attributes:
        last_chance: all processes that started it so far have crashed: it runs apart from others.
    """

    key: AttemptKey
    headers: TaskHeaders
    function: TaskFunction
    request: Any
    last_chance: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """It is ours but cannot be done: the caller gets a failed result, people get a dead letter."""

    key: AttemptKey
    headers: TaskHeaders
    problem: Problem
    reason: DeadLetterReason


@dataclass(frozen=True, slots=True)
class ReportLost:
    """It began in a process that has died: the caller sends another attempt, which continues at the last details.

    To begin it anew would lose them: the record has those of the attempt before.
    """

    key: AttemptKey
    headers: TaskHeaders
    problem: Problem


@dataclass(frozen=True, slots=True)
class AttachToRunning:
    """A duplicate of one that runs: settled together with it."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class DropFinished:
    """A duplicate of one whose outcome is durable, or that was acknowledged at its start: settled at once."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class SkipCancelled:
    """Its caller does not wait any longer: settled at once, no result."""

    key: AttemptKey
    cancel: Cancel


@dataclass(frozen=True, slots=True)
class SkipExpired:
    """A time limit has passed: settled at once, no result; the caller's own timer has told the caller.

    Attributes:
        limit: which one, for the log.
        late_ms: how long ago it passed.
    """

    key: AttemptKey
    limit: str
    late_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetterTask:
    """It can never be done and its caller cannot be told: a dead letter."""

    reason: DeadLetterReason
    detail: str


Skip = SkipCancelled | SkipExpired
Verdict = Run | Reject | ReportLost | AttachToRunning | DropFinished | SkipCancelled | SkipExpired | DeadLetterTask
FindCancel = Callable[[TaskId, Attempt, str | None], Cancel | None]
"""The authentic cancel of an attempt of a task with this `kallback-cancel-hash`."""
StateOf = Callable[[AttemptKey, Record], AttemptState]


def _none_is_missing(_topic: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Rules:
    """What a worker does, and which limits it has.

    Attributes:
        functions: registered functions by task type name.
        replies: which topics may be answered to.
        is_missing: whether a topic for results or progress is known not to exist.
        clock_skew: seconds by which the caller's clock may be behind this one.
        deliveries: how often a record may be started.
        fail_unknown_types: also fail the caller of a task whose type is not registered.
    """

    functions: Mapping[str, TaskFunction]
    replies: ReplyPolicy = field(default_factory=ReplyPolicy)
    is_missing: Callable[[str], bool] = _none_is_missing
    clock_skew: float = 0.0
    deliveries: int = 5
    fail_unknown_types: bool = False


def _all_new(_key: AttemptKey, _record: Record) -> AttemptState:
    return AttemptState.NEW


def _no_cancel(_task_id: TaskId, _attempt: Attempt, _cancel_hash: str | None) -> Cancel | None:
    return None


def decide(
    record: Record, rules: Rules, now_ms: int, state_of: StateOf = _all_new, find_cancel: FindCancel = _no_cancel
) -> Verdict:
    """Say what a record means. Never raises, whatever the bytes are.

    Args:
        record: as it was fetched.
        rules: of this worker.
        now_ms: epoch milliseconds.
        state_of: what is known of an attempt, and of this very record.
        find_cancel: what is known of cancels.
    """
    if record.unreadable is not None:
        return DeadLetterTask(DeadLetterReason(record.unreadable.reason), record.unreadable.detail)
    try:
        headers = TaskHeaders.decode(record.headers)
    except InvalidTaskError as error:
        return DeadLetterTask(
            DeadLetterReason.NOT_A_TASK, f"{error}. Send tasks with kallback.sdk, or with the headers of its wire"
        )
    key = AttemptKey(headers.task_id, headers.attempt)
    match state_of(key, record):
        case AttemptState.RUNNING:
            return AttachToRunning(key)
        case AttemptState.ACKNOWLEDGED | AttemptState.FINISHED:
            return DropFinished(key)
        case AttemptState.NEW:
            return decide_skip(key, headers, rules, now_ms, find_cancel) or _decide_new(record, key, headers, rules)


def decide_skip(
    key: AttemptKey, headers: TaskHeaders, rules: Rules, now_ms: int, find_cancel: FindCancel
) -> Skip | None:
    """Say whether an attempt that has not begun is to be skipped now; None if it is not."""
    cancel = find_cancel(*key, headers.cancel_hash)
    if cancel is not None:
        return SkipCancelled(key, cancel)
    for limit, at_ms in (("deadline", headers.deadline_ms), ("time to start by", headers.start_by_ms)):
        if at_ms is not None and now_ms > at_ms + rules.clock_skew * 1000:
            return SkipExpired(key, limit, now_ms - at_ms)
    return None


def _decide_new(record: Record, key: AttemptKey, headers: TaskHeaders, rules: Rules) -> Verdict:
    function = rules.functions.get(headers.task_type)
    refusal = _refusal_of(headers, rules)
    if function is None:
        return _decide_unknown(key, headers, rules, may_reply=refusal is None)
    if refusal is not None:
        return DeadLetterTask(DeadLetterReason.REFUSED_REPLY_TOPIC, refusal)
    if headers.progress_to is not None and rules.is_missing(headers.progress_to):
        headers = replace(headers, progress_to=None)
    try:
        request = function.task_type.request_codec.decode(record.value or b"null")
    except DecodeError as error:
        return Reject(key, headers, _undecodable(headers.task_type, error), DeadLetterReason.UNDECODABLE_TASK)
    if record.deliveries > 1 and _is_replaced(record, headers, function):
        return ReportLost(key, headers, _lost(headers))
    if record.deliveries > rules.deliveries:
        return Reject(key, headers, _parked(rules.deliveries), DeadLetterReason.PARKED)
    return Run(key, headers, function, request, last_chance=1 < rules.deliveries == record.deliveries)


def _is_replaced(record: Record, headers: TaskHeaders, function: TaskFunction) -> bool:
    """Whether the next attempt is better than this one begun anew: it knows the progress that was told.

    In the order of a key it would come behind later records, which wait for this one.
    """
    keeps_order = function.ordered and record.key not in (None, headers.task_id.encode())
    return headers.retry_lost and headers.progress_to is not None and not keeps_order


def _decide_unknown(key: AttemptKey, headers: TaskHeaders, rules: Rules, *, may_reply: bool) -> Verdict:
    sentence = (
        f"no function here does task type {headers.task_type!r} (there is {', '.join(rules.functions)}): "
        "register one with @worker.task, or give the type a topic of its own"
    )
    reason = DeadLetterReason.UNKNOWN_TASK_TYPE
    if rules.fail_unknown_types and may_reply:
        return Reject(key, headers, Problem(UNKNOWN_TASK_TYPE, _UNKNOWN_STATUS, sentence, retryable=False), reason)
    return DeadLetterTask(reason, f"{sentence}, then send the record again")


def _refusal_of(headers: TaskHeaders, rules: Rules) -> str | None:
    refusal, topic = rules.replies.refusal_of(headers), headers.reply_to
    if refusal is None and rules.is_missing(topic):
        return f"the reply topic {topic!r} does not exist: create it, then send the record again"
    return refusal


def _lost(headers: TaskHeaders) -> Problem:
    return Problem(
        type=HEARTBEAT_LOST,
        status=_LOST_STATUS,
        detail=f"the process that began attempt {headers.attempt} of {headers.task_type} died: its log may say why",
        retryable=True,
    )


def _parked(deliveries: int) -> Problem:
    return Problem(
        type=PARKED_TASK,
        detail=f"the worker's process died {deliveries} times while it worked on this task, the last time apart from "
        "other tasks: mend the worker, then send the dead letter again",
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
