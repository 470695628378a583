"""What a check does, as values: the runner carries them out, one after the other. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kallback.kafka import Headers

HOUR_S = 3600.0
_DEADLINE_S = 900.0
"""Longer than any run waits for a task; after that, what is left in the topic is skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTask:
    """Send a task.

    Attributes:
        name: by which the check knows it.
        value: the request.
        task_of: the name of an earlier task whose id it has; empty: an id of its own.
        deadline_s: seconds from now until its deadline; negative: it has passed.
        start_by_s: likewise until it must have been started; None: without that header.
        monitored: it asks for progress, with heartbeats.
        hand_back: the caller takes the attempt back.
        own_key: its key is its task id. Otherwise all tasks of a check have one key, hence one partition.
        changed: headers in place of those of the same names; the others are added.
    """

    name: str
    value: bytes
    attempt: int = 1
    task_of: str = ""
    deadline_s: float = _DEADLINE_S
    start_by_s: float | None = None
    monitored: bool = False
    hand_back: bool = False
    own_key: bool = False
    changed: Headers = ()


@dataclass(frozen=True, slots=True)
class SendTogether:
    """Send tasks at the same time."""

    tasks: tuple[SendTask, ...]


@dataclass(frozen=True, slots=True)
class SendCopy:
    """Send the record of a task once more, byte for byte."""

    name: str


@dataclass(frozen=True, slots=True)
class SendNoTask:
    """Send a record without headers to the topic of tasks."""

    value: bytes | None


@dataclass(frozen=True, slots=True)
class SendCancel:
    """Cancel a task, which may come later.

    Attributes:
        name: of the task.
        forged: the secret is a wrong one.
    """

    name: str
    forged: bool = False


@dataclass(frozen=True, slots=True)
class SendControl:
    """Send a control record that no worker understands."""

    value: bytes


@dataclass(frozen=True, slots=True)
class AwaitAnswers:
    """Wait until each of these tasks has an answer, or for the timeout.

    Attributes:
        names: of tasks; empty: all tasks of the check.
        any_one: one answer will do.
        after_restart: the worker was started again: wait longer.
    """

    names: tuple[str, ...] = ()
    any_one: bool = False
    after_restart: bool = False


@dataclass(frozen=True, slots=True)
class AwaitBegin:
    """Wait until a task reports progress or is answered; a worker that reports nothing gets some seconds."""

    name: str


@dataclass(frozen=True, slots=True)
class AwaitAsLong:
    """Wait for as long as a task would take: until it is answered, or another one's time and some seconds are over.

    Attributes:
        name: of the task.
        like: of another one with the same request, which has an answer.
        more_s: seconds more, for the worker to read another topic.
    """

    name: str
    like: str
    more_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Give the worker time to read another topic."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AwaitCommitted:
    """Wait until the worker's group has committed all that it was sent; for so long where that is not seen."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AwaitEarlyCommit:
    """Wait until the worker's group has committed a task that has no answer yet, which is a fault; for so long at most.

    Attributes:
        name: of the task.
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class KillWorker:
    """SIGKILL."""


@dataclass(frozen=True, slots=True)
class StopWorker:
    """SIGTERM, and wait for its end."""


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Run its command again."""


CheckStep = (
    SendTask
    | SendTogether
    | SendCopy
    | SendNoTask
    | SendCancel
    | SendControl
    | AwaitAnswers
    | AwaitBegin
    | AwaitAsLong
    | Wait
    | AwaitCommitted
    | AwaitEarlyCommit
    | KillWorker
    | StopWorker
    | StartWorker
)
