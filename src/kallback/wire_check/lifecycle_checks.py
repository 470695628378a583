"""Checks of long tasks, of workers that are killed or stopped, and of cancels. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.ordinary_checks import MANY, tasks_with_own_keys
from kallback.wire_check.protocol_check import CheckNeed, check_of, good_request, long_task
from kallback.wire_check.steps import (
    HOUR_S,
    AwaitAnswers,
    AwaitAsLong,
    AwaitBegin,
    AwaitCommitted,
    AwaitEarlyCommit,
    CheckStep,
    KillWorker,
    SendCancel,
    SendControl,
    SendTask,
    SendTogether,
    StartWorker,
    StopWorker,
    Wait,
)
from kallback.wire_check.verdicts.decide import (
    decide_hand_back,
    decide_past_start,
    decide_restart,
    decide_stop,
)
from kallback.wire_check.verdicts.decide_cancels import (
    CANCELLED,
    WHOLE,
    decide_cancelled,
    decide_cancelled_while_running,
    decide_forged_cancel,
)
from kallback.wire_check.verdicts.decide_progress import decide_long_task

CONTROL_S: Final = 2.0
"""A worker reads the control topic beside its tasks, and has to get there first."""


_COMMITTED_S: Final = 6.0
"""Before a kill, for the answers of earlier checks: most clients commit on a timer, every five seconds by default. A
record that is not committed comes again, and its task is answered twice, which is no fault."""
_BEFORE_COMMIT_S: Final = 3.5
"""After a commit, until the long task is sent: the next commit of a timer then comes while it runs. A worker that
commits what it has only begun is killed in that moment, and loses it."""
_EARLY_S: Final = 2.5
"""A long task takes more than three seconds."""


@check_of(
    "past-start-by",
    "A task whose kallback-start-by has passed is skipped.",
    "long-tasks",
    decide_past_start,
    CheckNeed.LONG_REQUEST,
    CheckNeed.HEARTBEATS,
)
def _past_start_by(options: WireCheckOptions) -> Sequence[CheckStep]:
    return (replace(long_task("task", options), start_by_s=-HOUR_S),)


@check_of(
    "long-task",
    "A task of a type with heartbeats reports its start, and that it continues.",
    "long-tasks",
    decide_long_task,
    CheckNeed.LONG_REQUEST,
    CheckNeed.HEARTBEATS,
)
def _long_task(options: WireCheckOptions) -> Sequence[CheckStep]:
    return long_task("task", options), AwaitAnswers()


@check_of(
    "restart",
    "What a worker had not answered when it was killed is done after its restart.",
    "duplicates-and-idempotency",
    decide_restart,
    CheckNeed.COMMAND,
)
def _restart(options: WireCheckOptions) -> Sequence[CheckStep]:
    tasks = tasks_with_own_keys(2 * MANY, options)
    if options.requests.long is not None:  # begun when the worker is killed
        name = "long task"
        begun: Sequence[CheckStep] = (
            *(Wait(_BEFORE_COMMIT_S), long_task(name, options), AwaitBegin(name), SendTogether(tasks)),
            AwaitEarlyCommit(name, _EARLY_S),
        )
    else:
        first, others = tasks[:MANY], tasks[MANY:]
        begun = (SendTogether(first), AwaitAnswers(any_one=True), SendTogether(others))
    return AwaitCommitted(_COMMITTED_S), *begun, KillWorker(), StartWorker(), AwaitAnswers(after_restart=True)


@check_of(
    "stop",
    "A worker that stops completes a task or leaves its offset uncommitted.",
    "how-to-fail",
    decide_stop,
    CheckNeed.COMMAND,
    CheckNeed.LONG_REQUEST,
)
def _stop(options: WireCheckOptions) -> Sequence[CheckStep]:
    return _stopping(long_task("task", options))


@check_of(
    "hand-back",
    "A worker that stops may hand an attempt back.",
    "hand-an-attempt-back",
    decide_hand_back,
    CheckNeed.COMMAND,
    CheckNeed.LONG_REQUEST,
)
def _hand_back(options: WireCheckOptions) -> Sequence[CheckStep]:
    return _stopping(replace(long_task("task", options), hand_back=True))


def _stopping(task: SendTask) -> Sequence[CheckStep]:
    return task, AwaitBegin("task"), StopWorker(), StartWorker(), AwaitAnswers(after_restart=True)


@check_of(
    "cancelled", "A task that was cancelled is not answered.", "cancel", decide_cancelled, CheckNeed.CONTROL_TOPIC
)
def _cancelled(options: WireCheckOptions) -> Sequence[CheckStep]:
    names = ("task 1", "task 2", "task 3")
    return (
        SendControl(b'{"kallback": 2, "action": "of a later version"}'),
        SendControl(b"not JSON"),
        *(SendCancel(name) for name in names),
        Wait(CONTROL_S),
        *(SendTask(name=name, value=good_request(options)) for name in names),
    )


@check_of(
    "cancelled-while-running",
    "A task that is cancelled while it is done is stopped, and not answered.",
    "cancel",
    decide_cancelled_while_running,
    CheckNeed.CONTROL_TOPIC,
    CheckNeed.LONG_REQUEST,
)
def _cancelled_while_running(options: WireCheckOptions) -> Sequence[CheckStep]:
    """The first task shows how long the second one takes if nothing stops it."""
    return (
        long_task(WHOLE, options),
        AwaitAnswers((WHOLE,)),
        long_task(CANCELLED, options),
        AwaitBegin(CANCELLED),
        SendCancel(CANCELLED),
        AwaitAsLong(CANCELLED, like=WHOLE, more_s=CONTROL_S),
    )


@check_of(
    "forged-cancel",
    "A cancel without the task's secret has no effect.",
    "cancel",
    decide_forged_cancel,
    CheckNeed.CONTROL_TOPIC,
)
def _forged_cancel(options: WireCheckOptions) -> Sequence[CheckStep]:
    return (
        SendCancel("task", forged=True),
        Wait(CONTROL_S),
        SendTask(name="task", value=good_request(options)),
        AwaitAnswers(),
    )


LIFECYCLE_CHECKS: Final = (
    _past_start_by,
    _long_task,
    _restart,
    _stop,
    _hand_back,
    _cancelled,
    _cancelled_while_running,
    _forged_cancel,
)
