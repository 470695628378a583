"""Decides what to do with a result record: one named verdict, from values alone. Pure.

The order of the checks matters. A duplicate of a delivered result, or of one in flight, needs nothing more, late or
not; the value of a late result is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import msgspec

from kallback.bridge.results.completion import Completion
from kallback.bridge.results.verify import Target, Trust, Verified, verify
from kallback.kafka.records import UNREADABLE, Record
from kallback.protocol import (
    UNUSABLE_RESULT,
    Failed,
    Problem,
    ResultRecord,
    Token,
    UnusableResultError,
    UnverifiedError,
)

UNUSABLE_STATUS: Final = 500


class Seen(Enum):
    """What this bridge knows of a token."""

    NEW = auto()
    IN_FLIGHT = auto()
    DELIVERED = auto()


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Send it to Restate."""

    identity: str
    completion: Completion


class AttachDuplicate(msgspec.Struct, frozen=True, gc=False):
    """A duplicate of a result in flight, whose outcome it shares."""

    identity: str
    target: Target


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """A duplicate of a delivered result."""

    target: Target


class Late(msgspec.Struct, frozen=True, gc=False):
    """It came after the deadline and the grace; its value is not looked at yet."""

    target: Token
    result: ResultRecord
    detail: str


class UnusableResult(msgspec.Struct, frozen=True, gc=False):
    """The token is valid, the value is not: fail the task with `completion`, dead-letter the record."""

    identity: str
    completion: Completion
    reason: str
    detail: str


class UnverifiedResult(msgspec.Struct, frozen=True):
    """It is not authenticated: dead-letter it."""

    reason: str
    detail: str


Verdict = Deliver | AttachDuplicate | Duplicate | Late | UnusableResult | UnverifiedResult


def decide(record: Record, trust: Trust, *, seen: Callable[[str], Seen], now_ms: float, grace_ms: float) -> Verdict:
    """Decide on a result record.

    Args:
        record: as it came from Kafka.
        trust: what authenticates a record.
        seen: returns what is known of a token, by its identity.
        now_ms: epoch milliseconds.
        grace_ms: milliseconds after the deadline in which a result is not late.
    """
    if record.unreadable is not None:
        return UnverifiedResult(UNREADABLE, record.unreadable.detail)
    try:
        verified = verify(record.value, record.headers, trust)
    except UnverifiedError as error:
        return UnverifiedResult(str(error.reason), error.detail)
    known = seen(verified.identity)
    if known is Seen.DELIVERED:
        return Duplicate(verified.target)
    if known is Seen.IN_FLIGHT:
        return AttachDuplicate(verified.identity, verified.target)
    target = verified.target
    if isinstance(target, Token) and target.deadline_ms and now_ms > target.deadline_ms + grace_ms:
        return Late(target, verified.result, f"{(now_ms - target.deadline_ms) / 1000:.0f} s after the task's deadline")
    return _answer(verified)


def _answer(verified: Verified) -> Deliver | UnusableResult:
    try:
        answer = verified.result.answer()
    except UnusableResultError as error:
        completion = fail_unusable(verified.result.token, verified.target, error.detail)
        return UnusableResult(verified.identity, completion, str(error.reason), error.detail)
    return Deliver(verified.identity, Completion(verified.result.token, verified.target, answer))


def fail_unusable(token: str, target: Target, detail: str) -> Completion:
    """Return the failure that the caller gets in place of a result that cannot be delivered."""
    problem = Problem(
        type=UNUSABLE_RESULT,
        title="The worker's result cannot be used",
        status=UNUSABLE_STATUS,
        detail=f"the worker's result cannot be used: {detail}",
        retryable=False,
    )
    return Completion(token, target, Failed(problem.encode()))
