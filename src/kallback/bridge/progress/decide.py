"""Decides what a progress record means. Pure.

Progress is best effort: a record that is forged, late or malformed is dropped and counted, never dead-lettered. Results
are decided in `results/decide.py`.
"""

from __future__ import annotations

import msgspec

from kallback.bridge.stats import ProgressOutcome
from kallback.kafka.records import Record
from kallback.protocol import InvalidProgressError, Report, TaskId, UnverifiedError, UnverifiedToken, read_progress
from kallback.protocol.verification import Trust, UnverifiedResult, is_late


class ProgressUpdate(msgspec.Struct, frozen=True):
    """What a worker reported about an attempt, authenticated by the token.

    Attributes:
        token: the record's; a secret.
        seen_ms: when this bridge read it, epoch milliseconds.
    """

    task_id: TaskId
    attempt: int
    token: str
    report: Report
    seen_ms: int

    def __repr__(self) -> str:
        return f"ProgressUpdate({self.task_id} attempt {self.attempt}: {self.report.signal})"


def decide_progress(
    record: Record, trust: Trust, *, now_ms: int, grace_ms: int
) -> ProgressUpdate | UnverifiedResult | ProgressOutcome:
    """Decide on a record; never raises, whatever the bytes are. One that is not authenticated comes with the reason."""
    try:
        found = read_progress(record.value, record.headers)
    except UnverifiedError as error:
        return UnverifiedResult(str(error.reason), error.detail)
    token = trust.keyring.check(found.token, trust.audience)
    if isinstance(token, UnverifiedToken):
        return UnverifiedResult(token.reason.value, token.detail)
    if is_late(token, now_ms, grace_ms):
        return ProgressOutcome.LATE
    try:
        report = found.report()
    except InvalidProgressError:
        return ProgressOutcome.INVALID
    return ProgressUpdate(token.task_id, token.attempt, found.token, report, now_ms)
