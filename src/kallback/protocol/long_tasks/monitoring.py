"""What the bridge reports to the Restate services that monitor tasks, and what these answer to readers.

    bridge ──Heard──► TaskMonitor/{task id}         an attempt started, or its heartbeat
    bridge ──Marks──► ConsumedMarks/{topic}         up to when it has read progress and results
    anyone ◄─TaskProgress── TaskMonitor/{task id}   status of a task

An attempt is lost when the marks of both topics have passed its last heartbeat plus the limit: only then is it certain
that nothing of it is unread in Kafka. All bodies are JSON; readers ignore unknown members.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kallback.protocol.long_tasks.progress import Signal
from kallback.protocol.tokens import Attempt, TaskId
from kallback.protocol.values.bounded_reading import Whole

_NO_DETAILS: Final = msgspec.Raw(b"")
"""Left out as the default, which msgspec knows by identity: other empty bytes would be written, and are no JSON."""


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the bridge heard of an attempt.

    Attributes:
        token: proves which task and attempt; a secret.
        at_ms: when, by the worker's clock.
        seen_ms: when the bridge read it, by its own clock, which is the marks' clock, too.
        details: JSON of the heartbeat; empty for none.
        partitions: which partitions of the task's topic the worker reads, such as `0-5,8`; empty if it does not say.
    """

    token: str
    signal: Signal
    at_ms: Whole
    seen_ms: Whole
    details: msgspec.Raw = _NO_DETAILS
    partitions: str = ""

    def __post_init__(self) -> None:
        if self.details == _NO_DETAILS:
            msgspec.structs.force_setattr(self, "details", _NO_DETAILS)

    def __repr__(self) -> str:
        return f"Heard({self.signal} at {self.at_ms}, {len(bytes(self.details))} bytes)"


class Marks(msgspec.Struct, frozen=True):
    """Up to when a bridge has read its share of one topic.

    Attributes:
        partitions: how many the topic has, those of other bridges included.
        marks: epoch milliseconds by partition: all that lay in it then has been read, and its effect is in Restate.
    """

    partitions: Whole
    marks: dict[Whole, Whole]


class TaskProgress(msgspec.Struct, frozen=True, omit_defaults=True):
    """The status of a task whose type has a start timeout or heartbeats.

    Attributes:
        task_id: whose it is.
        task_type: its type's name.
        attempt: the present one, from 1.
        dispatched_ms: when it was sent, epoch milliseconds by the service's clock.
        started_ms: when a worker began, by the worker's clock; None before that.
        heartbeat_ms: its last heartbeat, by the worker's clock.
        details: of the last heartbeat that had some, of this attempt or an earlier one: JSON; empty for none.
        details_ms: when this attempt's details last became others, by the worker's clock; None if they never did.
    """

    task_id: TaskId
    task_type: str
    attempt: Attempt
    dispatched_ms: Whole
    started_ms: Whole | None = None
    heartbeat_ms: Whole | None = None
    details: msgspec.Raw = _NO_DETAILS
    details_ms: Whole | None = None

    def __post_init__(self) -> None:
        if self.details == _NO_DETAILS:
            msgspec.structs.force_setattr(self, "details", _NO_DETAILS)
