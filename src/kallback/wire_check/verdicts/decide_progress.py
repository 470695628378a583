"""The verdict on a long task: whether a monitor would have taken its attempt for lost. Pure."""

from __future__ import annotations

from typing import Final

from kallback.protocol import Report, Signal
from kallback.wire_check.observed import CheckResult, Observed, SeenAnswer, SeenProgress, failed, not_covered, passed
from kallback.wire_check.options import WireCheckOptions

LOST_AFTER: Final = 3
"""Intervals without a heartbeat after which an attempt counts as lost."""


def decide_long_task(observed: Observed, options: WireCheckOptions) -> CheckResult:
    """A long task reports its start and sends heartbeats until its result."""
    answers, every_ms = observed.seen(), options.heartbeat_every_ms
    if not answers:
        return failed("the long request got no answer")
    seen = [each for each in observed.progress["task"] if _came_before(each, answers[0])]
    if not seen:
        return failed("no progress came: the type has heartbeats, so send `started`, then a heartbeat in each interval")
    problem = _malformed(seen, every_ms)
    if problem:
        return failed(problem)
    following: list[SeenProgress | SeenAnswer] = [*seen[1:], answers[0]]
    silence = max(_between(before, after) for before, after in zip(seen, following, strict=True))
    if silence * 1000 > LOST_AFTER * every_ms:
        return failed(
            f"nothing came for {silence:.1f} s; after {LOST_AFTER * every_ms / 1000:g} s the attempt counts as lost: "
            "send heartbeats from a timer, not from the work"
        )
    beats = sum(_signal(each) is Signal.HEARTBEAT for each in seen)
    if not beats:
        return not_covered(
            f"done {answers[0].at - seen[0].at:.1f} s after it started, before a heartbeat was due: give a longer "
            "--long-request"
        )
    return passed(f"started, {beats} heartbeat{'s' * (beats > 1)}, then it {answers[0].said}")


def _came_before(progress: SeenProgress, answer: SeenAnswer) -> bool:
    """Whether either clock says so: they are read from two topics, and the clocks of worker and broker may differ."""
    return max(_gaps(progress, answer)) >= 0


def _between(before: SeenProgress, after: SeenProgress | SeenAnswer) -> float:
    """Seconds, by the clock that says less: on a busy machine records are read later than they were written."""
    return min(_gaps(before, after))


def _gaps(before: SeenProgress, after: SeenProgress | SeenAnswer) -> list[float]:
    """Seconds from one record to another, by when they were read, and by their own times."""
    read = [after.at - before.at]
    if before.written_ms is None or after.written_ms is None:
        return read
    return [*read, (after.written_ms - before.written_ms) / 1000]


def _malformed(seen: list[SeenProgress], every_ms: int) -> str:
    """What is wrong with the records; empty if nothing is."""
    reports = list[Report]()
    for each in seen:
        if each.report is None:
            return f"a progress record is dropped by bridges: {each.detail}"
        reports.append(each.report)
    if reports[0].signal is not Signal.STARTED:
        return "the first progress record is a heartbeat; send `started` when the work begins"
    if any(each.every_ms != every_ms for each in reports):
        return "header kallback-heartbeat-every is not the task's; echo it in each progress record"
    return ""


def _signal(seen: SeenProgress) -> Signal | None:
    return None if seen.report is None else seen.report.signal
