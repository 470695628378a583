"""A console whose sources are what the test says, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from kallback.cli.console.changes import Change, ManyChange, ReplayForm, ReplayOrder
from kallback.cli.console.handler import ConsoleHandler
from kallback.cli.console.many import ChangesMany, ManyDone, TaskPlan
from kallback.cli.console.options import ConsoleOptions
from kallback.cli.console.processes import ProcessStatus
from kallback.cli.console.replays import ReplayCheck, ReplayDone
from kallback.cli.console.routes import Route
from kallback.cli.console.sources import LastLetters
from kallback.cli.console.traffic import TrafficSample
from kallback.cli.dead_letters.contents import Replay
from kallback.cli.tasks.bulk import ChosenTasks, TaskResult
from kallback.kafka import DeadLetter, DeadLetterId, Headers, Position, Record
from kallback.operations import (
    AbsenceCause,
    AbsentTask,
    AttemptProgress,
    InvalidCursorError,
    PendingTask,
    TaskFilter,
    TaskPage,
    UnreadableJournalsError,
    WaitingInvocation,
)
from kallback.operations.absent import TaskHolder
from kallback.protocol import Attempt, KallbackError, Outcome, OutcomeRecord, SourcePosition, TaskHeaders, TaskId
from kallback.settings import Settings
from kallback.web import ServerOptions, ServerStats, WebServer

NOW: Final = 1_800_000_000.0
NOW_MS: Final = int(NOW * 1000)
TOKEN: Final = "kb1:k1:shop.pack:MTExMTExMTExMTEx:1:sign_1Aud7hsqsnEFJWhywH06JmTmTJNSRLgflAAAAEQ:0:" + "A" * 22


def pending(number: int = 0, task_type: str = "shop.pack", **others: Any) -> PendingTask:
    """A pending task."""
    invocation = WaitingInvocation(f"inv_{number}", "Shop/order", "Shop/order", "suspended", NOW_MS - 120_000)
    task_id = TaskId(f"task{number:012}")
    position = Position("tasks", 0, number)
    return PendingTask(
        task_id, task_type, Attempt(1), position, NOW_MS - 60_000 - number, NOW_MS + 60_000, invocation, **others
    )


def headers_of(task: PendingTask) -> Headers:
    """The headers of a pending task's record."""
    return TaskHeaders(TOKEN, task.task_id, task.attempt, task.task_type, "kallback.results").encode()


def running(details: bytes = b"") -> AttemptProgress:
    """Progress of an attempt that a worker has begun."""
    return AttemptProgress(NOW_MS - 50_000, NOW_MS - 40_000, NOW_MS - 5_000, details, NOW_MS - 30_000)


def outcome(kind: Outcome = Outcome.DELIVERED, **others: Any) -> OutcomeRecord:
    """The outcome of the first pending task's result, 40 ms after its record."""
    fields: dict[str, Any] = {
        "source": SourcePosition("kallback.results", 1, 5, NOW_MS - 1040),
        "at_ms": NOW_MS - 1000,
        "task_type": "shop.pack",
        "task_id": "task000000000000",
        "attempt": 1,
    }
    return OutcomeRecord(kind, **{**fields, **others})


def dead_letter(reason: str = "late", value: bytes = b"{}", **others: Any) -> DeadLetter:
    """A dead letter."""
    headers = (("kallback-token", TOKEN.encode()),)
    fields: dict[str, Any] = {
        "id": DeadLetterId(0, 7),
        "detail": "40 s after the task's deadline",
        "at_ms": NOW_MS - 1000,
        "written_ms": NOW_MS - 1000,
        "source": Position("kallback.results", 1, 5),
        "source_ms": NOW_MS - 2000,
        "group": "kallback.results.bridge",
        "key": b"key",
        "headers": headers,
    }
    return DeadLetter(reason=reason, value=value, **{**fields, **others})


@dataclass
class FakeSources:
    """`ConsoleSources` from lists; counts how often tasks and dead letters were read."""

    pending: list[PendingTask] = field(default_factory=list[PendingTask])
    records: Mapping[Any, Record | KallbackError] = field(default_factory=dict[Any, Record | KallbackError])
    dead: list[DeadLetter] = field(default_factory=list[DeadLetter])
    replays: dict[DeadLetterId, Replay] = field(default_factory=dict[DeadLetterId, Replay])
    results: list[OutcomeRecord] = field(default_factory=list[OutcomeRecord])
    error: KallbackError | None = None
    statuses: list[ProcessStatus] = field(default_factory=list[ProcessStatus])
    untaken: tuple[PendingTask, ...] = ()
    reads: int = 0
    letter_reads: int = 0

    async def tasks(self, wanted: TaskFilter, cursor: str | None, limit: int) -> TaskPage:
        """Return a page; its cursor is a number."""
        self.reads += 1
        self._fail()
        found = [task for task in self.pending if wanted.accepts(task)]
        if not (cursor or "0").isdigit():
            raise InvalidCursorError("the cursor is not one of a page of pending tasks: begin without one")
        begin = int(cursor or 0)
        following = str(begin + limit) if begin + limit < len(found) else None
        return TaskPage(found[begin : begin + limit], following, untaken=self.untaken)

    async def all_tasks(self) -> AsyncGenerator[TaskPage]:
        """Return all tasks in pages of two."""
        self.reads += 1
        self._fail()
        for begin in range(0, len(self.pending), 2):
            yield TaskPage(self.pending[begin : begin + 2], None, untaken=self.untaken)

    async def task(self, task_id: str) -> PendingTask | None:
        """Return one task; where journals cannot be read, all have ended but those whose ids begin with `lost`."""
        if isinstance(self.error, UnreadableJournalsError) and not task_id.startswith("lost"):
            return None
        self._fail()
        return next((task for task in self.pending if task.task_id == task_id), None)

    async def untaken_task(self, task_id: str) -> PendingTask | None:
        """Return one that has its result."""
        return next((task for task in self.untaken if task.task_id == task_id), None)

    async def absent_task(self, task_id: str) -> AbsentTask:
        """Say that its handler has ended."""
        holder = TaskHolder("inv_9", "shop/<order>", "completed", 9, "success", "2026-01-01T00:00:02Z")
        return AbsentTask(task_id, AbsenceCause.HANDLER_ENDED, holder)

    async def record(self, position: Position) -> Record | None:
        """Return one record, or fail."""
        if isinstance(found := self.records.get(position), KallbackError):
            raise found
        return found

    async def letters(self) -> LastLetters:
        """Return all dead letters."""
        self.letter_reads += 1
        self._fail()
        return LastLetters(self.dead, self.replays)

    async def letter(self, name: DeadLetterId) -> DeadLetter | None:
        """Return one dead letter."""
        return next((letter for letter in self.dead if letter.id == name), None)

    async def outcomes(self) -> list[OutcomeRecord]:
        """Return all outcomes."""
        self._fail()
        return self.results

    async def traffic(self) -> TrafficSample:
        """Return nothing."""
        return TrafficSample(NOW_MS, 0, 0, None)

    async def processes(self) -> list[ProcessStatus]:
        """Return all statuses."""
        return self.statuses

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class FakeReplays:
    """`ReplaysLetters` that remembers."""

    checks: list[ReplayForm] = field(default_factory=list[ReplayForm])
    sent: list[ReplayOrder] = field(default_factory=list[ReplayOrder])
    running: str = ""

    async def check(self, form: ReplayForm) -> ReplayCheck:
        """Say that one would be sent."""
        self.checks.append(form)
        return _CHECK

    def checked(self, name: str) -> ReplayCheck | None:
        """Return the check until it was sent."""
        return _CHECK if name == _CHECK.name and self.checks and not self.sent else None

    def is_running(self, name: str) -> bool:
        """Return whether a test says so."""
        return name == self.running

    async def send(self, order: ReplayOrder) -> ReplayDone:
        """Say that one was sent."""
        self.sent.append(order)
        return ReplayDone(("Replayed 1 of 1 dead letter.",))


_CHECK: Final = ReplayCheck("checked", ("1 dead letter would be sent.",), 1)


@dataclass
class FakeMany:
    """`ChangesMany` that remembers."""

    tasks: list[PendingTask] = field(default_factory=list[PendingTask])
    made: list[ManyChange] = field(default_factory=list[ManyChange])
    chosen: int = 0

    async def choose(self, wanted: TaskFilter) -> TaskPlan:
        """Return those that are wanted."""
        self.chosen += 1
        found = [task for task in self.tasks if wanted.accepts(task)]
        return TaskPlan("plan", wanted, ChosenTasks(found, is_cut_off=False, unreadable=0))

    async def make(self, change: ManyChange) -> ManyDone:
        """Say that it was done to the first one, and not to the others."""
        self.made.append(change)
        refused = [TaskResult(task, error="the topic's retention removed its record") for task in self.tasks[1:]]
        return ManyDone(f"Cancelled 1 of {len(self.tasks)} tasks.", len(refused), refused)


@dataclass
class FakeChanges:
    """`MakesChanges` that remembers."""

    many: ChangesMany = field(default_factory=FakeMany)
    replays: FakeReplays = field(default_factory=FakeReplays)
    made: list[tuple[TaskId, Change]] = field(default_factory=list[tuple[TaskId, Change]])
    error: KallbackError | None = None

    async def make(self, task: PendingTask, change: Change) -> None:
        """Remember a change, or fail."""
        if self.error is not None:
            raise self.error
        self.made.append((task.task_id, change))


@asynccontextmanager
async def serving(
    sources: FakeSources,
    settings: Settings | None = None,
    changes: FakeChanges | None = None,
    samples: Sequence[TrafficSample] = (),
    **options: Any,
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a console on a free port."""
    made = ConsoleOptions(server=ServerOptions(port=0), allow_changes=changes is not None, **options)
    handler = ConsoleHandler(
        sources, settings or Settings(), made, now=lambda: NOW, changes=changes, samples=lambda: samples
    )
    async with (
        WebServer[Route](handler, made.server, ServerStats()) as server,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", verify=False, trust_env=False, timeout=60
        ) as client,
    ):
        yield client
