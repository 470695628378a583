"""What a progress record means. Pure.

Progress is best effort: what is forged, late or not understood is dropped and counted, never dead-lettered. A result
is another matter; see `decide.py`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kallback.bridge.verify import Trust
from kallback.kafka import Record
from kallback.protocol import InvalidProgressError, Report, TaskId, UnverifiedError, read_progress


class News(msgspec.Struct, frozen=True):
    """What a worker told about an attempt, of proven origin.

    Attributes:
        token: the record's; a secret.
        seen_ms: when it was read here, epoch milliseconds.
    """

    task_id: TaskId
    attempt: int
    token: str
    report: Report
    seen_ms: int

    def __repr__(self) -> str:
        return f"News({self.task_id} attempt {self.attempt}: {self.report.signal})"


class Fate(StrEnum):
    """What became of a progress record; labels of a metric."""

    FORWARDED = "forwarded"
    """Restate has accepted it."""
    COALESCED = "coalesced"
    """A newer one of the same task was there before it was its turn."""
    UNVERIFIED = "unverified"
    """Nothing proves where it came from."""
    INVALID = "invalid"
    """The token is good, the rest is not understood."""
    LATE = "late"
    """Its attempt's deadline has passed."""
    REFUSED = "refused"
    """Restate refuses it for good."""
    UNWATCHED = "unwatched"
    """Restate has no `TaskMonitor`: nobody wants to know."""


def judge(record: Record, trust: Trust, *, now_ms: int, grace_ms: int) -> News | Fate:
    """Say what a record means; never raises, whatever the bytes are."""
    try:
        found = read_progress(record.value, record.headers)
        token = trust.keyring.verify(found.token, trust.audience)
    except UnverifiedError:
        return Fate.UNVERIFIED
    if token.deadline_ms and now_ms > token.deadline_ms + grace_ms:
        return Fate.LATE
    try:
        report = found.report()
    except InvalidProgressError:
        return Fate.INVALID
    return News(token.task_id, token.attempt, found.token, report, now_ms)
