"""Serdes for values in Restate's journal.

Restate retries a handler without end when a serde raises anything but a `TerminalError`, and no later completion
replaces a value that is in the journal. So each failure here is terminal.
"""

from __future__ import annotations

from typing import Any, Final, TypedDict, TypeVar, cast

import msgspec
from restate import TerminalError
from restate.serde import Serde

from kallback.protocol import (
    Attempt,
    Completed,
    DecodeError,
    Envelope,
    InvalidEnvelopeError,
    Problem,
    TaskId,
    TaskType,
    open_envelope,
)
from kallback.protocol.results import NULL
from kallback.protocol.values.excerpts import excerpt
from kallback.sdk.errors import (
    BAD_GATEWAY,
    BAD_REQUEST,
    NOT_AN_ENVELOPE,
    STALE_RESULT,
    UNDECODABLE_RESULT,
    InvalidResult,
    StaleResult,
    TaskFailed,
)

_NULL_CAME: Final = (
    "; the worker sent null, or a record without a value, which means null: return a value, or declare a result type "
    "that admits None"
)
T = TypeVar("T")
Result = TypeVar("Result")


class _TaskIdentity(TypedDict):
    task_type: str
    task_id: TaskId
    attempt: Attempt


class EnvelopeSerde(Serde[Result]):
    """Opens the envelope of one attempt: checks task id and attempt, then returns the typed value or raises.

    Raises (from `deserialize`, so from awaiting the future):
        TaskFailed: the worker reported a failure.
        InvalidResult: not an envelope, or a value that does not fit the declared type.
        StaleResult: an envelope of another attempt, or of an earlier run with the same awakeable id.
    """

    def __init__(self, task_type: TaskType[Any, Result], task_id: TaskId, attempt: Attempt) -> None:
        self._task_type: Final = task_type
        self._task_id: Final = task_id
        self._attempt: Final = attempt

    def deserialize(self, buf: bytes) -> Result:
        """The result in an envelope."""
        envelope = self._open(buf)
        if isinstance(envelope.answer, Completed):
            return self._decode(envelope.answer.value)
        try:
            problem = envelope.answer.problem()
        except DecodeError as error:
            raise self._invalid(UNDECODABLE_RESULT, f"the worker's problem object is unreadable: {error}") from None
        raise TaskFailed(problem, **self._identity())

    def serialize(self, obj: Result | None) -> bytes:
        """Never valid: the waiting side only reads results."""
        raise TerminalError(f"a kallback awakeable is completed with an envelope, not with {type(obj).__name__}")

    def _open(self, buf: bytes) -> Envelope:
        try:
            envelope = open_envelope(buf)
        except InvalidEnvelopeError as error:
            raise self._invalid(NOT_AN_ENVELOPE, str(error)) from None
        if (envelope.task_id, envelope.attempt) != (self._task_id, self._attempt):
            detail = (
                f"the awakeable of task {self._task_id} attempt {self._attempt} was completed for task "
                f"{envelope.task_id} attempt {envelope.attempt}: `await handle.result()` would publish the next attempt"
            )
            problem = Problem(STALE_RESULT, BAD_GATEWAY, detail)
            raise StaleResult(problem, **self._identity())
        return envelope

    def _decode(self, value: bytes) -> Result:
        try:
            return self._task_type.result_codec.decode(value)
        except DecodeError as error:
            came = _NULL_CAME if value.strip() == NULL else f"; the worker sent {excerpt(value)}"
            raise self._invalid(UNDECODABLE_RESULT, f"the result of {self._task_type.name} {error}{came}") from None

    def _invalid(self, kind: str, detail: str) -> InvalidResult:
        return InvalidResult(Problem(kind, BAD_GATEWAY, detail), **self._identity())

    def _identity(self) -> _TaskIdentity:
        return {"task_type": self._task_type.name, "task_id": self._task_id, "attempt": self._attempt}


class DeferredSerde(Serde[Result]):
    """The serde of an awakeable that is made before its task id is drawn; it is awaited afterwards.

    Attributes:
        known: the serde, once there is one.
    """

    known: EnvelopeSerde[Result] | None = None

    def deserialize(self, buf: bytes) -> Result:
        """The result in an envelope."""
        return self._serde().deserialize(buf)

    def serialize(self, obj: Result | None) -> bytes:
        """Never valid."""
        return self._serde().serialize(obj)

    def _serde(self) -> EnvelopeSerde[Result]:
        if self.known is None:
            raise AssertionError("an awakeable is awaited after its task id is drawn")
        return self.known


def read_body(body: bytes, declared: type[T], *, what: str = "") -> T:
    """Read the JSON body of an untrusted call; `what` names it in the error.

    Raises:
        TerminalError: the body does not fit (400).
    """
    try:
        return msgspec.json.decode(body, type=declared)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TerminalError(f"the body is no {what or declared.__name__}: {error}", BAD_REQUEST) from None


class StepSerde(Serde[T]):
    """JSON of a journaled step's value: `msgspec` structs, read strictly."""

    def __init__(self, declared: Any) -> None:
        self._decoder: Final = msgspec.json.Decoder(declared)

    def deserialize(self, buf: bytes) -> T:
        """The value of a step, from the journal."""
        try:
            return cast("T", self._decoder.decode(buf))
        except msgspec.DecodeError as error:
            raise TerminalError(f"a journaled step was written by another version of kallback: {error}") from None

    def serialize(self, obj: T | None) -> bytes:
        """The value of a step, for the journal."""
        return msgspec.json.encode(obj)
