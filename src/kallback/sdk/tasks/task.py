"""What a task is made of, over all its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from restate import RestateDurableFuture

from kallback.protocol import Attempt, TaskType
from kallback.sdk.journal.awakeables import Signing
from kallback.sdk.journal.identity import Clock, TaskIdentity
from kallback.sdk.journal.publish import TaskPublisher

Result = TypeVar("Result")
Timer = RestateDurableFuture[None] | None
FIRST_ATTEMPT: Final = Attempt(1)


@dataclass(frozen=True, slots=True)
class Shared:
    """What every task of one `Callbacks` shares."""

    publisher: TaskPublisher
    signing: Signing
    control_topic: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """What all attempts of one task share.

    Attributes:
        request: encoded, so that copies are byte-identical.
        key: of the record, which decides its partition.
        timer: of the deadline.
        first_limit: of the first attempt's own deadline.
    """

    task_type: TaskType[Any, Result]
    request: bytes
    key: bytes
    identity: TaskIdentity
    timer: Timer
    first_limit: Timer = None


@dataclass(frozen=True, slots=True)
class Value(Generic[Result]):
    """A task ended well."""

    value: Result
