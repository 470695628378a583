"""What journals say of the tasks in them: the rows of queries, and the attempts that still wait. Pure.

    Command: Run           publish shop.pack q8Tzl0b2R6m1cV9x     completion 5
    Notification: Run      completion 5: {"sent": ...}            where the record is
    Notification: Signal   17                                     this awakeable has its result
    Command: Sleep         back off shop.pack q8Tzl0b2R6m1cV9x    the attempt failed, another one follows
    Command: Run           cancel (timed-out) shop.pack q8Tz...   the handler gave the task up
    Command: Run           cancel 3 (cancelled)                   the same for several, whose ids are in its value

A task waits while the latest attempt of it that was published has no result or is followed by another one, its deadline
has not passed, and its handler has not given it up. Another one follows where there is a pause, or a step that
publishes one without a pause. A first query of `queries.py` finds that: the names of steps, the numbers of
signals, and those values of steps that begin as kallback's do, so that other values are not read. A second query reads
the values of publishing steps that begin otherwise: those of a codec, or of a step that failed. A third one reads the
beginnings of results, of those journals alone that have pauses which do not name their tasks. A fourth one reads
steps and timers of those alone whose handlers handed out tokens (`awakeables.py`), or may have: in a journal
that a codec encodes only the names of steps tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from kallback.operations.journals.awakeables import (
    JournaledAwakeables,
    WaitingAwakeable,
    awakeable_value,
)
from kallback.operations.journals.between_attempts import Pause, SentAttempt, failed_signal, next_attempts, pause_of
from kallback.operations.journals.entries import (
    JournalCommand,
    RunValue,
    StepRow,
    decoded_run,
    decoded_step,
)
from kallback.protocol import PublishedTask, PublishedTasks, TaskId

LATE_GRACE_MS: Final = 30_000
"""After its deadline a task may still be about to end: the handler's timer fires, and then the handler is resumed."""

_PUBLISH: Final = re.compile(
    r"publish (?:\d+ [A-Za-z0-9._-]{1,128}|[A-Za-z0-9._-]{1,128} ([A-Za-z0-9_-]{16})(?: attempt (\d{1,9}))?)", re.ASCII
)
_GIVEN_UP_TOGETHER: Final = re.compile(r"cancel \d+ \([a-z, -]+\)", re.ASCII)
_REFUSED: Final = "refused"
"""By Kafka, for good: the task has ended. Other failures are tried again."""
_GIVEN_UP: Final = re.compile(r"cancel \((?:timed-out|cancelled)\) [A-Za-z0-9._-]{1,128} ([A-Za-z0-9_-]{16})", re.ASCII)


class _NotSent(msgspec.Struct):
    type: str


class _Outcome(msgspec.Struct):
    sent: PublishedTasks | None = None
    failures: dict[str, _NotSent] = {}


class _Cancelled(msgspec.Struct):
    given_up: list[str] = []


_OUTCOME: Final = msgspec.json.Decoder(_Outcome)
_CANCELLED: Final = msgspec.json.Decoder(_Cancelled)


@dataclass(frozen=True, slots=True)
class WaitingAttempt:
    """The current attempt of a task that an invocation waits for.

    Attributes:
        number: of the task among all tasks of the invocation, from 0: the same whenever the journal is read.
        next_attempt_ms: when the next attempt is sent, epoch milliseconds, if this one has failed; None if it runs.
    """

    invocation_id: str
    shared: PublishedTasks
    task: PublishedTask
    number: int
    next_attempt_ms: int | None = None

    @property
    def task_id(self) -> TaskId:
        """Of the task."""
        return self.task.task_id

    @property
    def audience(self) -> str:
        """Of its token, which names the environment."""
        return self.shared.audience

    @property
    def monitored(self) -> bool:
        """Whether `TaskMonitor` knows it."""
        return self.shared.monitored


Waiting = WaitingAttempt | WaitingAwakeable


@dataclass(slots=True)
class Journal:
    """What the journal of one invocation says, as far as it was read.

    Attributes:
        is_unreadable: whether it has a publishing step whose value is not kallback's JSON, or may wait for an awakeable
            of which nothing can be read.
        awakeables: whose tokens its handler handed out itself; None if there are none.
    """

    invocation_id: str
    is_unreadable: bool = False
    awakeables: JournaledAwakeables | None = None
    _publishing: dict[int, bool] = field(default_factory=dict[int, bool])
    """By the number of the completion: whether the value is known."""
    _later: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    """The task and the number of an attempt after the first one, by the number of the completion of its step."""
    _signals: dict[int, int] = field(default_factory=dict[int, int])
    """With their places in the journal."""
    _failed: set[int] = field(default_factory=set[int])
    _pauses: list[Pause] = field(default_factory=list[Pause])
    _sent: list[SentAttempt] = field(default_factory=list[SentAttempt])
    _cancels: set[int] = field(default_factory=set[int])
    """Steps that cancel several tasks, by the number of their completion."""
    _given_up: set[str] = field(default_factory=set[str])
    _latest: dict[TaskId, WaitingAttempt] = field(default_factory=dict[TaskId, WaitingAttempt])

    @property
    def without_values(self) -> list[int]:
        """The publishing steps whose values are not known: numbers of their completions."""
        return [completion for completion, is_known in self._publishing.items() if not is_known]

    @property
    def has_pauses_without_names(self) -> bool:
        """Whether there are pauses that do not name their tasks: then the beginnings of its results are needed."""
        return any(pause.task_id is None for pause in self._pauses)

    @property
    def is_silent(self) -> bool:
        """Whether it has neither tasks nor awakeables, as far as it was read: their values may be encoded."""
        return not self._publishing and self.awakeables is None

    @property
    def size(self) -> int:
        """How many things it holds in memory."""
        attempts = len(self._pauses) + len(self._failed) + len(self._sent) + len(self._latest) + len(self._later)
        steps = len(self._publishing) + len(self._signals) + len(self._given_up)
        return 1 + steps + attempts + (0 if self.awakeables is None else self.awakeables.size)

    def waiting(self, now_ms: int) -> list[Waiting]:
        """All that the invocation waits for, in the order in which it was published, or handed out."""
        if self.awakeables is None:
            return [*self.attempts(now_ms)]
        return sorted([*self.attempts(now_ms), *self.unanswered(now_ms)], key=lambda each: each.number)

    def attempts(self, now_ms: int) -> list[WaitingAttempt]:
        """The attempts of tasks that it waits for."""
        return [each for each in self._current(now_ms) if self._is_waited_for(each, now_ms)]

    def unanswered(self, now_ms: int) -> list[WaitingAwakeable]:
        """The awakeables that it waits for."""
        if self.awakeables is None:
            return []
        handed_out = self.awakeables.waiting(self._signals)
        return [each for each in handed_out if not _is_late(each.value.deadline_ms, now_ms)]

    def untaken(self, length: int) -> list[Waiting]:
        """The tasks whose results are its last entries: since they came, its handler has done nothing.

        Args:
            length: how many entries it has.
        """
        numbers = {place: number for number, place in self._signals.items()}
        last, place = set[int](), length - 1
        while place in numbers:
            last.add(numbers[place])
            place -= 1
        answered = [] if self.awakeables is None else self.awakeables.answered(last)
        return [*(each for each in self._latest.values() if each.task.signal in last), *answered]

    def has_sent(self, task_id: TaskId) -> bool:
        """Whether Kafka got an attempt of a task."""
        return task_id in self._latest

    def add_step(self, row: StepRow) -> None:
        """Take a named step, a pause, or a signal that came."""
        step = decoded_step(row.entry_lite_json)
        if step.notification is not None:
            if step.notification.id.signal is not None:
                self._signals[step.notification.id.signal] = row.index
        elif step.command is not None and row.name is not None:
            self._add_command(row.name, row.index, step.command)

    def mark_encoded(self, steps: Iterable[int]) -> None:
        """Take the steps that created something of which nothing can be read: numbers of their completions."""
        if self.awakeables is not None and self.awakeables.may_wait(steps, self._signals):
            self.is_unreadable = True

    def add_head(self, head: str) -> None:
        """Take the beginning of a result."""
        failed = failed_signal(head)
        if failed is not None:
            self._failed.add(failed)

    def add_values(self, texts: Iterable[str]) -> None:
        """Take all values of steps; their order tells which attempt is the latest."""
        runs = [run for text in texts if (run := decoded_run(text)) is not None]
        for run in sorted(runs, key=lambda found: found.completion_id):
            if run.completion_id in self._cancels:
                self._given_up |= _given_up_in(run)
            if run.completion_id not in self._publishing:
                self._add_awakeable(run)
                continue
            self._publishing[run.completion_id] = True
            try:
                outcome = _OUTCOME.decode(run.content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.is_unreadable = True
                continue
            if outcome.sent is not None:
                self._add_sent(outcome.sent)
            if run.completion_id in self._later and _REFUSED in (it.type for it in outcome.failures.values()):
                self._given_up.add(self._later[run.completion_id][0])

    def _current(self, now_ms: int) -> Iterable[WaitingAttempt]:
        """The latest attempt of each task; those that have failed say when the next one is sent."""
        if not (self._pauses or self._later):
            yield from self._latest.values()
            return
        paused = next_attempts(self._sent, self._signals, self._failed, self._pauses)
        begun = dict(sorted(self._later.values()))  # the latest of each task
        for each in self._latest.values():
            next_ms = now_ms if begun.get(each.task.task_id, 0) > each.task.attempt else None
            yield replace(each, next_attempt_ms=paused.get(each.task.signal, next_ms))

    def _is_waited_for(self, attempt: WaitingAttempt, now_ms: int) -> bool:
        has_ended = attempt.next_attempt_ms is None and attempt.task.signal in self._signals
        is_late = _is_late(attempt.shared.deadline_ms, now_ms)
        return not (is_late or has_ended or attempt.task.task_id in self._given_up)

    @property
    def _next_number(self) -> int:
        return len(self._latest) + (0 if self.awakeables is None else len(self.awakeables))

    def _add_awakeable(self, run: RunValue) -> None:
        value = awakeable_value(run)
        if value is not None:
            self.awakeables = self.awakeables or JournaledAwakeables()
            self.awakeables.add(run.completion_id, WaitingAwakeable(self.invocation_id, value, self._next_number))

    def _add_command(self, name: str, index: int, command: JournalCommand) -> None:
        given_up, published = _GIVEN_UP.match(name), _PUBLISH.fullmatch(name)
        if command.sleep is not None:
            pause = pause_of(name, index, command.sleep.wake_up_time)
            self._pauses += [] if pause is None else [pause]
        elif given_up is not None:
            self._given_up.add(given_up[1])
        elif command.run is not None and _GIVEN_UP_TOGETHER.fullmatch(name) is not None:
            self._cancels.add(command.run.completion_id)
        elif command.run is not None and published is not None:
            self._publishing[command.run.completion_id] = False
            if published[2] is not None:
                self._later[command.run.completion_id] = published[1], int(published[2])

    def _add_sent(self, sent: PublishedTasks) -> None:
        for task in sent.tasks:
            known = self._latest.get(task.task_id)
            number = self._next_number if known is None else known.number
            self._latest[task.task_id] = WaitingAttempt(self.invocation_id, sent, task, number)
            self._sent.append(SentAttempt(task.task_id, sent.task_type, task.attempt, task.signal))


def _given_up_in(run: RunValue) -> set[str]:
    try:
        return set(_CANCELLED.decode(run.content).given_up)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()  # of an earlier version, or of a codec


def _is_late(deadline_ms: int | None, now_ms: int) -> bool:
    return deadline_ms is not None and deadline_ms + LATE_GRACE_MS < now_ms
