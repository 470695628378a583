"""A pending task, and which of them a reader wants. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from kallback.kafka import Position
from kallback.protocol import Attempt, TaskId

NOT_NEXT: Final = (
    "now the handler waits for something else: it takes this answer later, or has gone on without it and did not "
    "withdraw its question"
)
"""Of an awakeable that is none of what its handler waits for."""


class TaskState(StrEnum):
    """How far a pending task is, as far as its type tells."""

    SENT = "sent"
    """Its record is in Kafka. Its type has no heartbeats, so nothing more is known before the result."""
    NOT_STARTED = "not-started"
    """Its record is in Kafka, and no worker has reported that it began."""
    RUNNING = "running"
    """A worker has begun."""
    BACKING_OFF = "backing-off"
    """The attempt has failed, and its handler waits before it sends the next one."""
    UNANSWERED = "unanswered"
    """It is an awakeable, whose token its handler handed out: no worker has it, and it has no answer yet."""


@dataclass(frozen=True, slots=True)
class WaitingInvocation:
    """The invocation that waits for a task.

    Attributes:
        target: the handler as Restate writes it, such as `Shop/order` or `Cart/key/pay`.
        handler: the same without a key: service and handler.
        status: `invoked` (its handler runs, or waits while connected), `suspended` or `paused`.
        created_ms: epoch milliseconds.
    """

    id: str
    target: str
    handler: str
    status: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class AttemptProgress:
    """What `TaskMonitor` knows of the current attempt; times in epoch milliseconds.

    Attributes:
        started_ms: by the worker's clock, like `heartbeat_ms`; None before that.
        details: of the last heartbeat that had some: JSON; empty for none.
        details_ms: when this attempt's details last became others; None if they never did.
    """

    dispatched_ms: int
    started_ms: int | None = None
    heartbeat_ms: int | None = None
    details: bytes = field(default=b"", repr=False)
    details_ms: int | None = None

    @property
    def unchanged_since_ms(self) -> int | None:
        """Since when the details are the same: since the start if they never changed; None before it or without any.

        A task that hangs may still send heartbeats by itself.
        """
        return (self.details_ms or self.started_ms) if self.details else None


@dataclass(frozen=True, slots=True)
class PendingTask:
    """A task that a handler waits for; times in epoch milliseconds.

    Attributes:
        position: where the record of the current attempt is; None for an awakeable, of which Kafka has nothing.
        created_ms: when the handler created it.
        deadline_ms: None if the handler waits without one.
        progress: None if the type has neither heartbeats nor a start timeout.
        next_attempt_ms: when the next attempt is sent, if the current one has failed; None if it has not. A time that
            has passed: it is being sent.
        signal: number of the awakeable within its invocation, if its handler handed the token out itself; None for a
            task of workers.
    """

    task_id: TaskId
    task_type: str
    attempt: Attempt
    position: Position | None
    created_ms: int
    deadline_ms: int | None
    invocation: WaitingInvocation
    progress: AttemptProgress | None = None
    next_attempt_ms: int | None = None
    signal: int | None = None

    @property
    def state(self) -> TaskState:
        """How far it is."""
        if self.signal is not None:
            return TaskState.UNANSWERED
        if self.next_attempt_ms is not None:
            return TaskState.BACKING_OFF
        if self.progress is None:
            return TaskState.SENT
        return TaskState.NOT_STARTED if self.progress.started_ms is None else TaskState.RUNNING


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are wanted; without anything, all.

    Attributes:
        task_ids: ids of tasks.
        types: names of task types.
        states: states.
        handlers: `Service`, or `Service/handler`.
        created_before_ms: only tasks that are older, epoch milliseconds.
        deadline_before_ms: only tasks whose deadline comes earlier, epoch milliseconds.
    """

    task_ids: frozenset[TaskId] = frozenset()
    types: frozenset[str] = frozenset()
    states: frozenset[TaskState] = frozenset()
    handlers: frozenset[str] = frozenset()
    created_before_ms: int | None = None
    deadline_before_ms: int | None = None

    def accepts(self, task: PendingTask) -> bool:
        """Whether a task is wanted."""
        handler = task.invocation.handler
        return (
            (not self.task_ids or task.task_id in self.task_ids)
            and (not self.types or task.task_type in self.types)
            and (not self.states or task.state in self.states)
            and (not self.handlers or handler in self.handlers or handler.partition("/")[0] in self.handlers)
            and (self.created_before_ms is None or task.created_ms < self.created_before_ms)
            and (self.deadline_before_ms is None or _is_before(task.deadline_ms, self.deadline_before_ms))
        )


def _is_before(at_ms: int | None, limit_ms: int) -> bool:
    return at_ms is not None and at_ms < limit_ms
