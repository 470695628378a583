"""Control records: what the handler's side tells workers about a task that they may be working on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec

from kallback.protocol.cancel_secrets import HASH_CHARACTERS, proves
from kallback.protocol.errors import InvalidControlError
from kallback.protocol.tokens import TASK_ID_CHARACTERS, Attempt, TaskId
from kallback.protocol.values.bounded_reading import read_json


class CancelReason(StrEnum):
    """Why the caller no longer waits for a task."""

    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class CancelProof(StrEnum):
    """Whether a cancel comes from the origin of a task."""

    AUTHENTIC = "authentic"
    """It has the task's secret, or the task asks for none."""
    NO_SECRET = "no-secret"  # noqa: S105 - a reason
    WRONG_SECRET = "wrong-secret"  # noqa: S105 - a reason


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller no longer waits for this task (or for its attempts up to this one).

    Attributes:
        attempt: the last attempt that is cancelled, earlier ones go with it; None means all of them.
        at_ms: when it was decided, epoch milliseconds.
        secret: proves that it comes from the task's origin; None where the task has no hash. Hidden in repr.
    """

    task_id: TaskId
    reason: CancelReason
    at_ms: int
    attempt: Attempt | None = None
    secret: str | None = field(default=None, repr=False)

    def covers(self, task_id: TaskId, attempt: Attempt) -> bool:
        """Whether this cancel is about that attempt of that task."""
        return task_id == self.task_id and (self.attempt is None or attempt <= self.attempt)

    def proof(self, cancel_hash: str | None) -> CancelProof:
        """Whether it comes from the origin of the task that has this `kallback-cancel-hash`; None means no header."""
        if cancel_hash is None:
            return CancelProof.AUTHENTIC
        if self.secret is None:
            return CancelProof.NO_SECRET
        return CancelProof.AUTHENTIC if proves(self.secret, cancel_hash) else CancelProof.WRONG_SECRET

    def encode(self) -> bytes:
        """The value of a control record; its key is the task id."""
        members = {
            "kallback": 1,
            "action": "cancel",
            "task": self.task_id,
            "attempt": self.attempt,
            "reason": self.reason.value,
            "at": self.at_ms,
        }
        return msgspec.json.encode(members if self.secret is None else members | {"secret": self.secret})

    @classmethod
    def decode(cls, value: bytes | None) -> Cancel:
        """Read a control record's value.

        Raises:
            InvalidControlError: not a cancel of version 1. Skip the record: a newer sdk may have written it.
        """
        if value is not None and len(value) > _MAX_BYTES:
            raise InvalidControlError(f"a control record of {len(value)} bytes: {_MAX_BYTES} are the most")
        try:
            found = read_json(_CANCEL, value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidControlError(f"not a control record that this version knows: {error}") from None
        if len(found.task) > TASK_ID_CHARACTERS:
            raise InvalidControlError(f"a task id of {len(found.task)} characters: {TASK_ID_CHARACTERS} are the most")
        if found.secret is not None and not found.secret.isascii():  # other texts take four times the memory
            raise InvalidControlError("the secret of a cancel is base64url text")
        attempt = None if found.attempt is None else Attempt(found.attempt)
        return cls(TaskId(found.task), CancelReason(found.reason), found.at, attempt, found.secret)


_MAX_BYTES: Final = 1024  # a cancel has about 180; the rest is for members of a later version
_MAX_NUMBER: Final = 2**53  # larger ones are no times and no attempts, and take more memory


class _Cancel(msgspec.Struct):
    kallback: Literal[1]
    action: Literal["cancel"]
    task: str
    reason: Literal["timed-out", "cancelled", "superseded"]
    at: Annotated[int, msgspec.Meta(ge=0, le=_MAX_NUMBER)]
    attempt: Annotated[int, msgspec.Meta(ge=1, le=_MAX_NUMBER)] | None = None
    secret: Annotated[str, msgspec.Meta(max_length=HASH_CHARACTERS)] | None = None


_CANCEL: Final = msgspec.json.Decoder(_Cancel)
