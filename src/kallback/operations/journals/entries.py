"""Rows of queries to journals, and what Restate writes in them. Pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec


class StepRow(msgspec.Struct, frozen=True, gc=False):
    """A named step, a timer, a signal that came, or the value of a step.

    Attributes:
        entry_json: of a value; None for the others.
    """

    id: str
    index: int
    entry_lite_json: str
    name: str | None = None
    entry_json: str | None = None


class ValueRow(msgspec.Struct, frozen=True, gc=False):
    """The value of a step."""

    id: str
    entry_json: str


class HeadRow(msgspec.Struct, frozen=True, gc=False):
    """The first characters of a result."""

    id: str
    head: str


class _Run(msgspec.Struct):
    completion_id: int


class _Sleep(msgspec.Struct):
    wake_up_time: int
    completion_id: int


class JournalCommand(msgspec.Struct):
    """What a handler began: a step or a timer."""

    run: _Run | None = msgspec.field(name="Run", default=None)
    sleep: _Sleep | None = msgspec.field(name="Sleep", default=None)


class NotificationId(msgspec.Struct):
    """What came: a signal with a number, or what completes the command with this one; neither for other kinds."""

    signal: int | None = msgspec.field(name="SignalIndex", default=None)
    completion: int | None = msgspec.field(name="CompletionId", default=None)


class _Notification(msgspec.Struct):
    id: NotificationId


class JournalEntry(msgspec.Struct):
    """An entry without its value; nothing for a kind that a later Restate has."""

    command: JournalCommand | None = msgspec.field(name="Command", default=None)
    notification: _Notification | None = msgspec.field(name="Notification", default=None)


Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class _Result(msgspec.Struct):
    success: list[Byte] = msgspec.field(name="Success", default_factory=list[Byte])


class RunValue(msgspec.Struct):
    """The value of a step.

    Attributes:
        completion_id: of the step.
    """

    completion_id: int
    result: _Result

    @property
    def content(self) -> bytes:
        """What the step returned, as its serde wrote it."""
        return bytes(self.result.success)


class _Completion(msgspec.Struct):
    run: RunValue = msgspec.field(name="Run")


class _ValueNotification(msgspec.Struct):
    completion: _Completion = msgspec.field(name="Completion")


class _StepValue(msgspec.Struct):
    notification: _ValueNotification = msgspec.field(name="Notification")


_STEP: Final = msgspec.json.Decoder(JournalEntry)
_VALUE: Final = msgspec.json.Decoder(_StepValue)


def decoded_step(text: str) -> JournalEntry:
    """Read an entry without its value."""
    try:
        return _STEP.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return JournalEntry()  # a kind that a later Restate has


def decoded_run(text: str) -> RunValue | None:
    """Read the value of a step; None for one that failed, or for another kind."""
    try:
        return _VALUE.decode(text).notification.completion.run
    except (msgspec.DecodeError, RecursionError):
        return None
