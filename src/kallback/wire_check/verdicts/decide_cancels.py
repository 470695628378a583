"""The verdicts on cancels, which are optional: a worker that takes none is not at fault. Pure."""

from __future__ import annotations

from typing import Final

from kallback.wire_check.observed import CheckResult, Observed, failed, not_covered, passed
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.verdicts.decide import decide_completed

WHOLE: Final = "whole task"
CANCELLED: Final = "cancelled task"


def decide_cancelled(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """A cancelled task is not done; supporting cancels is optional."""
    skipped = len(observed.unanswered())
    if not skipped:
        return not_covered("cancelled tasks were answered all the same: the worker takes no cancels, which is optional")
    return passed("cancelled tasks were not answered")


def decide_cancelled_while_running(observed: Observed, _options: WireCheckOptions) -> CheckResult:
    """Work that has begun is stopped by a cancel, and has no answer; this is optional, too."""
    if not observed.seen(WHOLE):
        return failed("the long request got no answer")
    if CANCELLED in observed.answered_before_cancel:
        return not_covered("it was answered before it could be cancelled: give a longer --long-request")
    if answers := observed.seen(CANCELLED):
        return not_covered(
            f"a task that was cancelled while it was done {answers[0].said} all the same: the worker does not stop its "
            "work, which is optional"
        )
    return passed("the task was stopped, and not answered")


def decide_forged_cancel(observed: Observed, options: WireCheckOptions) -> CheckResult:
    """A cancel without the task's secret has no effect."""
    if observed.unanswered():
        return failed("a cancel with a wrong secret cancelled the task; compare it with kallback-cancel-hash")
    return decide_completed(observed, options)
