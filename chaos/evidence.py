"""What a run left behind, as values: what `collect.py` finds and `checks.py` judges. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.faults import Outage
from chaos.load import Placed
from chaos.stage import Crash, MemorySample
from chaos.work import Kind, Report
from kallback.kafka import DeadLetter, Record, UnknownEntry
from kallback.protocol import Outcome

RecordPosition = tuple[int, int]
"""Partition and offset of a result record."""


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """One line of the outcomes topic."""

    position: RecordPosition
    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One record of the results topic.

    Attributes:
        injected: which kind of injection made it; None for a worker's own.
        number: the task that it is about; None if nothing says so.
    """

    record: Record
    injected: Kind | None
    number: int | None

    @property
    def position(self) -> RecordPosition:
        """Where it lies."""
        return self.record.partition, self.record.offset

    def __str__(self) -> str:
        what = "worker's result" if self.injected is None else f"{self.injected} record"
        return f"{what} {self.position[0]}:{self.position[1]} of task {self.number}"


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """How far a group has read one partition; `committed` is negative when nothing was committed."""

    group: str
    topic: str
    partition: int
    committed: int
    end: int


@dataclass(frozen=True, slots=True)
class HandlerStart:
    """One attempt of a handler.

    Attributes:
        began: epoch seconds.
        ended: likewise; None if it was lost with its process.
        how: `returned`, or the name of what was raised in it.
    """

    invocation_id: str
    began: float
    ended: float | None = None
    how: str = ""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """How the processes ended.

    Attributes:
        exit_codes: after they were asked to end, by name.
        orphans: process ids that are still there.
        complaints: lines of logs that no log should have.
    """

    exit_codes: Sequence[tuple[str, int | None]] = ()
    orphans: Sequence[str] = ()
    complaints: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamEvidence:
    """What the second team left behind.

    Attributes:
        reports: as of the first team.
        runs: how often the work of each task was begun.
        interrupted: the long task in whose middle its worker was killed.
        result_keys: of the records of its results topic: task ids.
        dead_letters: their reasons.
        outcomes: of its result records.
    """

    reports: Mapping[int, Report | str] = field(default_factory=dict[int, "Report | str"])
    runs: Counter[int] = field(default_factory=Counter[int])
    interrupted: int | None = None
    result_keys: Sequence[str] = ()
    dead_letters: Sequence[str] = ()
    outcomes: Counter[Outcome] = field(default_factory=Counter[Outcome])


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything.

    Attributes:
        reports: what each placed task's handler returned, or a sentence about why it did not.
        observations: what handlers saw, replays included.
        starts: of handlers, replays included.
        runs: how often the work of each task was begun.
        attempts: tasks by their highest attempt that was begun.
        unfinished: handlers that still wait, as Restate describes them.
    """

    placed: Mapping[int, Placed] = field(default_factory=dict[int, Placed])
    reports: Mapping[int, Report | str] = field(default_factory=dict[int, "Report | str"])
    observations: Sequence[Report] = ()
    starts: Sequence[HandlerStart] = ()
    runs: Counter[int] = field(default_factory=Counter[int])
    attempts: Counter[int] = field(default_factory=Counter[int])
    results: Sequence[Result] = ()
    outcomes: Sequence[OutcomeRecord] = ()
    dead_letters: Sequence[DeadLetter | UnknownEntry] = ()
    progress: Sequence[GroupProgress] = ()
    outages: Sequence[Outage] = ()
    crashes: Sequence[Crash] = ()
    memory: Sequence[MemorySample] = ()
    unfinished: Sequence[str] = ()
    shutdown: Shutdown = field(default_factory=Shutdown)
    second: TeamEvidence = field(default_factory=TeamEvidence)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `wrong` is empty when all is well."""

    sentence: str
    wrong: tuple[str, ...] = ()
