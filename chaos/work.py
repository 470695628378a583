"""The work of a run: what handler, worker and injector share, and what each task must end with.

Pure but for `CHAOS_TEAM`: the processes of a second team have topics, a group and a service of their own.
"""

from __future__ import annotations

import os
import zlib
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from kallback.protocol import UNUSABLE_RESULT, RetryPolicy, TaskType

GRACE: Final = 5.0
"""Seconds after a deadline until a result is late (`--late-grace`)."""
NEVER: Final = 900.0
"""Seconds; a timeout that no task of a run may reach."""
HEARTBEAT: Final = 0.5
"""Seconds between the heartbeats of long work."""
CANCEL_AFTER: Final = 1.0
"""Seconds after which the caller of a task to be cancelled cancels it."""
IDLE: Final = 1
"""Seconds after which Restate suspends a handler that waits."""
LARGE_BYTES: Final = 2 * 1024 * 1024
SOLD_OUT_STATUS: Final = 422
TEAM: Final = os.environ.get("CHAOS_TEAM", "")
"""What the names of this process's team begin with; those of the first team do not."""
SECOND_TEAM: Final = "second."
GROUP: Final = f"{TEAM}chaos-workers"
"""The workers' group."""
OBSERVATIONS: Final = "observations.jsonl"
"""The file of what handlers saw."""
RUNS: Final = "runs.txt"
"""The file of which work was begun."""
STARTS: Final = "starts.txt"
"""The file of when handlers were started, and how each of these attempts ended."""
SUSPENDED: Final = "SuspendedException"
"""What the SDK raises in a handler that is suspended; it is started again when it can go on."""
MARK: Final = "chaos-injected"
"""Header of every record that the injector makes; its value is the kind."""
NUMBER: Final = "chaos-task"
"""Header of such a record: the number of the task that it is about."""


class Kind(StrEnum):
    """What is special about a task."""

    PLAIN = "plain"
    FAILING = "failing"
    """The worker says no."""
    SLOW = "slow"
    """The work takes longer than the caller waits."""
    LARGE = "large"
    """A result of 2 MB."""
    DUPLICATED = "duplicated"
    """The injector copies its result, byte for byte."""
    FORGED = "forged"
    """The injector answers first, with a token that proves nothing."""
    MALFORMED = "malformed"
    """The injector is the worker, and its answer is no result."""
    LONG = "long"
    """Work with heartbeats, acknowledged at its start: only they tell that its worker is gone."""
    CANCELLED = "cancelled"
    """The caller cancels the task in the middle of the work."""
    PROCESS = "process"
    """The work is done in a child process of the worker."""
    PROCESS_CANCELLED = "process-cancelled"
    """The caller cancels such a task in the middle of the work: its process ends, and the next task needs another."""
    LATE = "late"
    """The injector is the worker, and answers when deadline and grace are over."""
    BACKLOG = "backlog"
    """No task: results that are written at once, more than bridges hold; they complete awakeables without a waiter."""


class How(StrEnum):
    """How a task ends for its handler."""

    VALUE = "value"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    NOT_SENT = "not-sent"
    CANCELLED = "cancelled"


class Job(msgspec.Struct, frozen=True):
    """One task, as the handler is asked for it and the worker gets it.

    Attributes:
        number: counts the tasks of a run, from 0.
        timeout: seconds that the handler waits.
        work: seconds that the work takes.
    """

    number: int
    kind: Kind
    timeout: float
    work: float


class Done(msgspec.Struct, frozen=True):
    """A result; `padding` makes some of them large."""

    number: int
    answer: int
    padding: str = ""


class End(msgspec.Struct, frozen=True):
    """What a handler saw.

    Attributes:
        detail: the answer, or what the error says.
    """

    how: How
    detail: str


class Report(msgspec.Struct, frozen=True):
    """What a handler returns and its witness file says."""

    number: int
    end: End
    task_id: str | None = None


work: Final = TaskType(f"{TEAM}chaos.work", request=Job, result=Done, timeout=timedelta(seconds=NEVER))
long_work: Final = TaskType(
    f"{TEAM}chaos.long",
    request=Job,
    result=Done,
    timeout=timedelta(seconds=NEVER),
    heartbeat_every=timedelta(seconds=HEARTBEAT),
    retry=RetryPolicy(attempts=None, first_delay=timedelta(seconds=0.2), longest_delay=timedelta(seconds=1)),
)
process_work: Final = TaskType(f"{TEAM}chaos.process", request=Job, result=Done, timeout=timedelta(seconds=NEVER))
foreign: Final = TaskType(f"{TEAM}chaos.foreign", request=Job, result=Done, timeout=timedelta(seconds=NEVER))
"""Tasks that no worker of ours does: the injector answers them."""


def service_of(team: str) -> str:
    """The name of a team's Restate service."""
    return f"Chaos{team.rstrip('.').capitalize()}"


def task_type_of(kind: Kind) -> TaskType[Job, Done]:
    """Which topic a task goes to."""
    if kind is Kind.LONG:
        return long_work
    if kind in {Kind.PROCESS, Kind.PROCESS_CANCELLED}:
        return process_work
    return foreign if kind in {Kind.MALFORMED, Kind.LATE} else work


def result_of(job: Job) -> Done:
    """The right result."""
    padding = "x" * LARGE_BYTES if job.kind is Kind.LARGE else ""
    return Done(job.number, zlib.crc32(b"%d" % job.number), padding)


def end_with(done: Done) -> End:
    """What a handler makes of a result: short enough for a journal, long enough to tell results apart."""
    return End(How.VALUE, f"{done.number}: {done.answer}, {len(done.padding)} bytes")


def refusal_of(number: int) -> str:
    """What the worker says when it says no."""
    return f"nothing left for task {number}"


def right_end(job: Job) -> End:
    """How a task must end. The details of a timeout and of an unusable result are the product's own words."""
    match job.kind:
        case Kind.FAILING:
            return End(How.FAILED, f"SoldOut {SOLD_OUT_STATUS} {refusal_of(job.number)}")
        case Kind.MALFORMED:
            return End(How.FAILED, UNUSABLE_RESULT)
        case Kind.SLOW | Kind.LATE:
            return End(How.TIMED_OUT, "")
        case Kind.CANCELLED | Kind.PROCESS_CANCELLED:
            return End(How.CANCELLED, "")
        case _:
            return end_with(result_of(job))
