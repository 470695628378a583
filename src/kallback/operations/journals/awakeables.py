"""Awakeables whose tokens a handler handed out itself: which of them still wait, by the entries of a journal. Pure.

    Command: Sleep         deadline shop.approve                  completion 1
    Command: Run           create task shop.approve               completion 2
    Notification: Run      completion 2: {"sent": null, "awakeable": {"task_type": ..., "signal": 17}, "task_id": ...}
    Notification: Sleep    completion 1                           no answer came in time
    Notification: Signal   17                                     an answer came
    Notification: Signal   1                                      the invocation is cancelled

A step counts by its name, too: what other steps return may come from anywhere. The timer of a deadline is the one right
before the step. A cancel ends the waits for all that was created before it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from kallback.operations.journals.entries import RunValue, StepRow, decoded_step
from kallback.protocol import TaskId
from kallback.protocol.awakeables import FIRST_USER_SIGNAL
from kallback.protocol.published import JournaledAwakeable
from kallback.protocol.values.bounded_reading import EpochMs

CREATION: Final = "create task "
_CREATED: Final = re.compile(CREATION + r"([A-Za-z0-9._-]{1,128})", re.ASCII)
_DEADLINE: Final = "deadline "
_BEGINNING: Final = b'{"sent":null,"awakeable":'
"""Of the value of such a step: as that of a step that publishes, but nothing was sent."""
_CANCEL_SIGNAL: Final = 1
"""With which Restate cancels an invocation."""


class AwakeableValue(msgspec.Struct, frozen=True, gc=False):
    """The value of the step that creates such an awakeable; times in epoch milliseconds."""

    awakeable: JournaledAwakeable
    task_id: TaskId
    deadline_ms: EpochMs | None = None
    created_ms: EpochMs | None = None


@dataclass(frozen=True, slots=True)
class WaitingAwakeable:
    """An awakeable that an invocation waits for.

    Attributes:
        number: as of a `WaitingAttempt`, among all tasks of the invocation.
    """

    invocation_id: str
    value: AwakeableValue
    number: int

    @property
    def task_id(self) -> TaskId:
        """Of the task."""
        return self.value.task_id

    @property
    def audience(self) -> str:
        """Of its token, which names the environment."""
        return self.value.awakeable.audience

    @property
    def monitored(self) -> bool:
        """Whether `TaskMonitor` knows it: never."""
        return False


class _Creation(NamedTuple):
    """The step that creates a task.

    Attributes:
        place: of its entry in the journal.
        timer: the completion of its deadline's timer; None without a deadline.
    """

    place: int
    task_type: str
    timer: int | None


@dataclass(slots=True)
class JournaledAwakeables:
    """The awakeables of one journal that were handed out, as far as it was read."""

    _found: dict[int, WaitingAwakeable] = field(default_factory=dict[int, WaitingAwakeable])
    """By the completion of the step."""
    _creations: dict[int, _Creation] = field(default_factory=dict[int, _Creation])
    _fired: set[int] = field(default_factory=set[int])
    """Completions of timers."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    @property
    def size(self) -> int:
        """How many things it holds in memory."""
        return len(self._found) + len(self._creations) + len(self._fired)

    def add(self, completion: int, awakeable: WaitingAwakeable) -> None:
        """Take an awakeable, with the completion of the step that says so."""
        self._found.setdefault(completion, awakeable)

    def add_creations(self, rows: Iterable[StepRow]) -> None:
        """Take all steps that create tasks, all timers of deadlines, and all timers that fired."""
        timer: tuple[str, int] | None = None
        for row in sorted(rows, key=lambda each: each.index):
            step, name = decoded_step(row.entry_lite_json), row.name or ""
            if step.notification is not None and step.notification.id.completion is not None:
                self._fired.add(step.notification.id.completion)
            if step.command is None:
                continue
            if step.command.sleep is not None:
                timer = name.removeprefix(_DEADLINE), step.command.sleep.completion_id
            elif step.command.run is not None and (created := _CREATED.fullmatch(name)) is not None:
                own = timer[1] if timer is not None and timer[0] == created[1] else None
                self._creations[step.command.run.completion_id] = _Creation(row.index, created[1], own)
                timer = None

    def waiting(self, signals: Mapping[int, int]) -> Iterator[WaitingAwakeable]:
        """Those that have no answer, whose timer has not fired, and which no cancel of the invocation has ended.

        Args:
            signals: those that came, each with its place in the journal.
        """
        cancelled_at = signals.get(_CANCEL_SIGNAL, -1)
        for completion, each in self._found.items():
            created, awakeable = self._creations.get(completion), each.value.awakeable
            if created is None or created.task_type != awakeable.task_type:
                continue
            has_timed_out = each.value.deadline_ms is not None and created.timer in self._fired
            if not (has_timed_out or created.place < cancelled_at or awakeable.signal in signals):
                yield each

    def answered(self, signals: Container[int]) -> list[WaitingAwakeable]:
        """Those whose answers are among these signals."""
        return [each for each in self._found.values() if each.value.awakeable.signal in signals]

    @property
    def creations(self) -> list[int]:
        """The steps that create one task each, by the numbers of their completions."""
        return list(self._creations)

    def may_wait(self, encoded: Iterable[int], signals: Mapping[int, int]) -> bool:
        """Whether the invocation may wait for one of the awakeables that steps with encoded values have created.

        Args:
            encoded: the steps, by the numbers of their completions.
            signals: those that came, each with its place in the journal; which step they answer is encoded, too.
        """
        cancelled_at = signals.get(_CANCEL_SIGNAL, -1)
        steps = [self._creations[each] for each in encoded if each in self._creations]
        still = sum(each.timer not in self._fired and each.place > cancelled_at for each in steps)
        return still > sum(number >= FIRST_USER_SIGNAL for number in signals)


class _Identity(msgspec.Struct):
    task_id: str


_IDENTITY: Final = msgspec.json.Decoder(_Identity)
_VALUE: Final = msgspec.json.Decoder(AwakeableValue)


def is_encoded(run: RunValue) -> bool:
    """Whether the value of a step that creates a task is none that kallback has written, but a codec's."""
    try:
        _IDENTITY.decode(run.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return False


def awakeable_value(run: RunValue) -> AwakeableValue | None:
    """Read the value of a step; None if it creates no such awakeable."""
    content = run.content
    if not content.startswith(_BEGINNING):
        return None
    try:
        return _VALUE.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
