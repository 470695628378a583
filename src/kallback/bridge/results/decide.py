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
from kallback.durations import span
from kallback.kafka.records import UNREADABLE, Record
from kallback.protocol import (
    UNUSABLE_RESULT,
    Failed,
    Outcome,
    Problem,
    ResultRecord,
    Token,
    Unusable,
    UnusableResultError,
)
from kallback.protocol.tokens import shorten
from kallback.protocol.values.excerpts import excerpt
from kallback.protocol.verification import (
    Target,
    Trust,
    UnverifiedResult,
    Verified,
    check_result,
    identity_of,
    is_late,
)

UNUSABLE_STATUS: Final = 500
LARGE_BYTES: Final = 128 * 1024
"""Values beyond it are decided on in a thread. Below it the worst one takes a few milliseconds."""


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


class KnownCopy(msgspec.Struct, frozen=True, gc=False):
    """A record, or a run of them, that the screen knows as copies: what matters of them is kept or was delivered.

    Attributes:
        reason: of the outcome; None for a duplicate.
    """

    outcome: Outcome
    target: Target
    reason: str | None = None


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


VerifiedVerdict = Deliver | AttachDuplicate | Duplicate | KnownCopy | Late | UnusableResult
Verdict = VerifiedVerdict | UnverifiedResult


def decide(record: Record, trust: Trust, *, seen: Callable[[str], Seen], now_ms: float, grace_ms: float) -> Verdict:
    """Decide on a result record.

    Args:
        record: as it came from Kafka.
        trust: what authenticates a record.
        seen: returns what is known of a token, by its identity.
        now_ms: epoch milliseconds.
        grace_ms: milliseconds after the deadline in which a result is not late.
    """
    if record.unreadable is not None or record.refused is not None:
        return _decided_before(record)
    screened = record.screened
    verified = screened if isinstance(screened, Verified) else check_result(record.value, record.headers, trust)
    if isinstance(verified, UnverifiedResult):
        return verified
    known = seen(verified.identity)
    if known is Seen.DELIVERED:
        return Duplicate(verified.target)
    if known is Seen.IN_FLIGHT:
        return AttachDuplicate(verified.identity, verified.target)
    target = verified.target
    if isinstance(target, Token) and is_late(target, now_ms, grace_ms):
        return Late(target, verified.result, f"{span(int(now_ms) - target.deadline_ms)} after the task's deadline")
    return _answer(verified)


def _decided_before(record: Record) -> UnverifiedResult | KnownCopy:
    """Return the verdict on what the client could not read, or the screen has refused."""
    if record.refused is not None:
        refusal = record.refused.refusal
        copy = refusal.about
        return copy if isinstance(copy, KnownCopy) else UnverifiedResult(refusal.reason, refusal.detail)
    why = record.unreadable
    return UnverifiedResult(UNREADABLE, "") if why is None else UnverifiedResult(why.reason, why.detail)


def recheck(verdict: Verdict, seen: Callable[[str], Seen]) -> Verdict:
    """Return the verdict on a record for what is known of its token now: it was decided on while that could change."""
    match verdict:
        case Deliver() | UnusableResult():
            identity, target = verdict.identity, verdict.completion.target
        case Late():
            identity, target = identity_of(verdict.result.token), verdict.target
        case _:
            return verdict
    known = seen(identity)
    if known is Seen.DELIVERED:
        return Duplicate(target)
    return AttachDuplicate(identity, target) if known is Seen.IN_FLIGHT else verdict


def _answer(verified: Verified) -> Deliver | UnusableResult:
    try:
        answer = verified.result.answer(_task_type(verified.target))
    except UnusableResultError as error:
        result = verified.result
        completion = fail_unusable(result.token, verified.target, error.detail + _said(result, error.reason))
        return UnusableResult(verified.identity, completion, str(error.reason), error.detail)
    return Deliver(verified.identity, Completion(verified.result.token, verified.target, answer))


def _said(result: ResultRecord, reason: str) -> str:
    """Return what the worker sent, for the caller alone: details of dead letters and outcomes contain no values."""
    if reason not in {Unusable.NOT_JSON, Unusable.NOT_A_PROBLEM}:
        return ""
    said = excerpt(result.body).replace(result.token, shorten(result.token))
    return f"; the worker sent {said}" if said.startswith(('"', "{", "[")) else f'; the worker sent "{said}"'


def _task_type(target: Target) -> str:
    return target.task_type if isinstance(target, Token) else ""


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
