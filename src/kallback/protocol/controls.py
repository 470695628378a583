"""Control records: what the handler's side tells workers about a task that they may be working on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import msgspec

from kallback.protocol.errors import InvalidControlError
from kallback.protocol.tokens import TASK_ID_CHARACTERS, Attempt, TaskId


class CancelReason(StrEnum):
    """Why the caller no longer waits for a task."""

    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller no longer waits for this task (or for its attempts up to this one).

    Attributes:
        attempt: the last attempt that is cancelled, earlier ones go with it; None means all of them.
        at_ms: when it was decided, epoch milliseconds.
    """

    task_id: TaskId
    reason: CancelReason
    at_ms: int
    attempt: Attempt | None = None

    def covers(self, task_id: TaskId, attempt: Attempt) -> bool:
        """Whether this cancel is about that attempt of that task."""
        return task_id == self.task_id and (self.attempt is None or attempt <= self.attempt)

    def encode(self) -> bytes:
        """The value of a control record; its key is the task id."""
        return msgspec.json.encode(
            {
                "kallback": 1,
                "action": "cancel",
                "task": self.task_id,
                "attempt": self.attempt,
                "reason": self.reason.value,
                "at": self.at_ms,
            }
        )

    @classmethod
    def decode(cls, value: bytes | None) -> Cancel:
        """Read a control record's value.

        Raises:
            InvalidControlError: not a cancel of version 1. Skip the record: a newer sdk may have written it.
        """
        if value is not None and len(value) > _MAX_BYTES:
            raise InvalidControlError(f"a control record of {len(value)} bytes: {_MAX_BYTES} are the most")
        try:
            found = _CANCEL.decode(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidControlError(f"not a control record that this version knows: {error}") from None
        if len(found.task) > TASK_ID_CHARACTERS:
            raise InvalidControlError(f"a task id of {len(found.task)} characters: {TASK_ID_CHARACTERS} are the most")
        attempt = None if found.attempt is None else Attempt(found.attempt)
        return cls(TaskId(found.task), CancelReason(found.reason), found.at, attempt)


class _Cancel(msgspec.Struct):
    kallback: Literal[1]
    action: Literal["cancel"]
    task: str
    reason: Literal["timed-out", "cancelled", "superseded"]
    at: int
    attempt: int | None = None


_MAX_BYTES: Final = 1024  # a cancel has about 120; the rest is for members of a later version
_CANCEL: Final = msgspec.json.Decoder(_Cancel)
