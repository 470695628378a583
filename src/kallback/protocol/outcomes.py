"""What becomes of a result record: exactly one outcome each, and the reasons behind them.

The words are the ones of metrics, dead letters, outcome records and documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import msgspec

from kallback.protocol.values.bounded_reading import Whole, read_json


class Outcome(StrEnum):
    """The one thing that becomes of a result record."""

    DELIVERED = "delivered"
    """Restate durably accepted it (it answers 202 whether or not a handler still waits)."""
    DUPLICATE = "duplicate"
    """The same token was delivered before, within this bridge's window."""
    LATE = "late"
    """It came after the deadline and the grace; the handler's own timer has decided already."""
    UNUSABLE = "unusable"
    """The token is good, the value is no result: dead-lettered, and the task is failed at once."""
    UNVERIFIED = "unverified"
    """Nothing proves where it came from: dead-lettered."""
    REJECTED = "rejected"
    """Restate said that it can never accept this: dead-lettered."""


class Unverified(StrEnum):
    """Why nothing proves where a record came from."""

    NO_TOKEN = "no-token"  # noqa: S105 - a reason, not a password
    MALFORMED_TOKEN = "malformed-token"  # noqa: S105
    UNKNOWN_KEY = "unknown-key"
    WRONG_TAG = "wrong-tag"
    INVALID_AWAKEABLE_ID = "invalid-awakeable-id"
    RESERVED_SIGNAL = "reserved-signal"
    BARE_AWAKEABLE = "bare-awakeable"
    AMBIGUOUS_TOKEN = "ambiguous-token"  # noqa: S105
    TOO_MANY_HEADERS = "too-many-headers"


class Unusable(StrEnum):
    """Why a value behind a good token is no result."""

    NOT_JSON = "not-json"
    UNKNOWN_STATUS = "unknown-status"
    AMBIGUOUS_STATUS = "ambiguous-status"
    NOT_A_PROBLEM = "not-a-problem"
    UNKNOWN_VERSION = "unknown-version"
    TOO_LARGE = "too-large"


AFTER_DEADLINE: Final = "after-deadline"
"""Reason of a delivered result: its deadline had passed, so its handler may have gone on without it."""


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Where a result record lies in Kafka."""

    topic: str
    partition: Whole
    offset: Whole
    timestamp_ms: Whole


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """One line of the outcomes topic. Never carries the token.

    Attributes:
        reason: given for every outcome except `delivered` and `duplicate`; a result that was delivered after its
            deadline, in the grace, has `AFTER_DEADLINE`.
        count: number of records, if the record speaks of all that a summary of dead letters counts.
        at_ms: when the outcome was durable, epoch milliseconds.
        task_id: with `attempt` and `task_type`, set from verified tokens only.
        by: who sent the result by hand, and `why`, as they said; of verified results only.
        did: what the result does: `completed`, `failed`, `handed-back` (by a worker that stops), or, by hand, `retried`
            or `cancelled`. Of delivered results, and of all that were sent by hand; None in records of earlier bridges.
        failure: the type of the problem of a delivered failure, such as `OutOfStock`, cut after 200 characters; None in
            records of earlier bridges.
    """

    outcome: Outcome
    source: SourcePosition
    at_ms: int
    reason: str | None = None
    task_type: str | None = None
    task_id: str | None = None
    attempt: int | None = None
    count: int | None = None
    by: str | None = None
    why: str | None = None
    did: str | None = None
    failure: str | None = None

    @property
    def result(self) -> str | None:
        """What the result does, for people, with the type of a failure: `failed (OutOfStock)`."""
        return f"{self.did} ({self.failure})" if self.did and self.failure else self.did

    @property
    def deed(self) -> str | None:
        """What was done by hand, and by whom: `failed by ann`; None for results of workers."""
        return None if self.by is None else f"{self.did or 'answered'} by {self.by}"

    def key(self) -> bytes:
        """The task id, else the source position: outcomes of one task stay in order."""
        if self.task_id is not None:
            return self.task_id.encode()
        return f"{self.source.topic}/{self.source.partition}/{self.source.offset}".encode()

    def encode(self) -> bytes:
        """JSON, without the members that are not known."""
        members = {
            "kallback": 1,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "source": self.source,
            "at": self.at_ms,
            "type": self.task_type,
            "task": self.task_id,
            "attempt": self.attempt,
            "count": self.count,
            "by": self.by,
            "why": self.why,
            "did": self.did,
            "failure": self.failure,
        }
        return msgspec.json.encode({name: value for name, value in members.items() if value is not None})


class _OutcomeBody(msgspec.Struct):
    kallback: Literal[1]
    outcome: Outcome
    source: SourcePosition
    at: Whole
    reason: str | None = None
    type: str | None = None
    task: str | None = None
    attempt: Whole | None = None
    count: Whole | None = None
    by: str | None = None
    why: str | None = None
    did: str | None = None
    failure: str | None = None


_BODY: Final = msgspec.json.Decoder(_OutcomeBody)
MAX_OUTCOME_BYTES: Final = 16_384
"""Bridges write a few kilobytes at most; readers keep thousands of outcomes in memory."""


def read_outcome(value: bytes | None) -> OutcomeRecord | None:
    """Read the value of an outcome record; None for a value that is none, too large, or one of a later version."""
    if value is not None and len(value) > MAX_OUTCOME_BYTES:
        return None
    try:
        body = read_json(_BODY, value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return OutcomeRecord(
        body.outcome,
        body.source,
        body.at,
        reason=body.reason,
        task_type=body.type,
        task_id=body.task,
        attempt=body.attempt,
        count=body.count,
        by=body.by,
        why=body.why,
        did=body.did,
        failure=body.failure,
    )
