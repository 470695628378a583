"""What the tasks of one `Callbacks` came to, as plain numbers.

Handlers are replayed, so nothing is counted where a replay passes. What is sent is counted inside a journaled step.
What ends is counted when the handler first comes to it: not while it is replayed, and once in this process. A handler
that fails right after that and is continued by another process counts once in each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from restate import Context
from restate.server_context import ServerInvocationContext

from kallback.health import Histogram
from kallback.lifecycle import RecentKeys
from kallback.protocol import ATTEMPT_TIMED_OUT, HEARTBEAT_LOST, NOT_STARTED, Attempt, TaskId

DURATIONS: Final = (0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
"""Upper bounds of the buckets, seconds: from a quick task to a day."""
OTHER_TYPES: Final = "(other)"
_MOST_TYPES: Final = 100
_REMEMBERED: Final = 50_000


class TaskEnd(StrEnum):
    """How a task ended for its handler; labels of a metric."""

    COMPLETED = "completed"
    FAILED = "failed"
    INVALID_RESULT = "invalid_result"
    """Its worker succeeded, and the value does not fit the type; the outcome record says `completed`."""
    TIMED_OUT = "timed_out"
    NOT_SENT = "not_sent"
    CANCELLED = "cancelled"


class AttemptEnd(StrEnum):
    """Why an attempt was followed by another one, or failed the task; labels of a metric."""

    FAILED = "failed"
    """Its worker says so."""
    TIMED_OUT = "timed_out"
    NOT_STARTED = "not_started"
    HEARTBEAT_LOST = "heartbeat_lost"
    HANDED_BACK = "handed_back"
    STALE = "stale"
    """An earlier run of the handler had completed its awakeable."""


_BY_PROBLEM: Final = {
    ATTEMPT_TIMED_OUT: AttemptEnd.TIMED_OUT,
    NOT_STARTED: AttemptEnd.NOT_STARTED,
    HEARTBEAT_LOST: AttemptEnd.HEARTBEAT_LOST,
}


def attempt_end_of(problem_type: str) -> AttemptEnd:
    """Why an attempt failed that has a problem of this type."""
    return _BY_PROBLEM.get(problem_type, AttemptEnd.FAILED)


class CountedTask(Protocol):
    """A task that a handler holds."""

    @property
    def ctx(self) -> Context:
        """Of the handler."""
        ...

    @property
    def type_name(self) -> str:
        """Of its type."""
        ...

    @property
    def waits(self) -> bool:
        """Whether it has not ended."""
        ...


class SdkCounts:
    """Counts by task type. The first 100 types have a label of their own, the others share one."""

    def __init__(self) -> None:
        self.attempts_sent: Final = Counter[str]()
        self.send_failures: Final = Counter[str]()
        self.attempts_ended: Final = Counter[tuple[str, str]]()
        self.tasks_ended: Final = Counter[tuple[str, str]]()
        self.durations: Final = dict[str, Histogram]()
        self._tasks: Final = WeakValueDictionary[int, CountedTask]()
        self._types: Final = set[str]()
        self._seen: Final = RecentKeys[tuple[TaskId, Attempt | None]](_REMEMBERED)

    def add(self, task: CountedTask) -> None:
        """A handler holds a task, until it ends or the handler is suspended.

        Reference cycles can keep the task of a suspended handler until Python's next full collection.
        """
        self._tasks[id(task)] = task

    def waiting(self) -> Mapping[str, int]:
        """The tasks for which handlers of this process wait now, by type; a scrape asks from any thread."""
        held = [task for each in self._tasks.valuerefs() if (task := each()) is not None]
        return Counter(self.label(task.type_name) for task in held if task.waits and not _is_over(task.ctx))

    def sent(self, task_type: str, acknowledged: int, failed: int) -> None:
        """Kafka acknowledged so many attempts of one step, and failed so many."""
        label = self.label(task_type)
        self.attempts_sent[label] += acknowledged
        self.send_failures[label] += failed

    def attempt_ended(self, task_type: str, task_id: TaskId, attempt: Attempt, end: AttemptEnd) -> None:
        """An attempt failed, or did not count."""
        if self._is_first((task_id, attempt)):
            self.attempts_ended[self.label(task_type), end.value] += 1

    def task_ended(self, task_type: str, task_id: TaskId, end: TaskEnd, seconds: float | None) -> bool:
        """A task ended, this long after it was created; whether that is the first time here."""
        if not self._is_first((task_id, None)):
            return False
        label = self.label(task_type)
        self.tasks_ended[label, end.value] += 1
        if seconds is not None:
            self.durations.setdefault(label, Histogram(DURATIONS)).observe(max(0.0, seconds))
        return True

    def label(self, task_type: str) -> str:
        """The label of a task type."""
        if task_type not in self._types:
            if len(self._types) >= _MOST_TYPES:
                return OTHER_TYPES
            self._types.add(task_type)
        return task_type

    def _is_first(self, key: tuple[TaskId, Attempt | None]) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


_COUNTS: Final = WeakKeyDictionary[Any, SdkCounts]()
"""By application: its server is given nothing else, and shows them."""


def remember_counts(app: Any, counts: SdkCounts) -> None:
    """Have `counts_of` find the counts of an application that `Callbacks.app` has made."""
    _COUNTS[app] = counts


def counts_of(app: Any) -> SdkCounts | None:
    """The counts of an application's tasks; None if `Callbacks.app` has not made it."""
    try:
        return _COUNTS.get(app)
    except TypeError:  # an object without weak references
        return None


def _is_over(ctx: Context) -> bool:
    """Whether the handler has returned, failed or was suspended."""
    return isinstance(ctx, ServerInvocationContext) and ctx.request_finished_event.is_set()
