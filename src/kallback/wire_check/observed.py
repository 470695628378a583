"""What was seen of a worker in one check, and the verdict on it. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from kallback.protocol import Completed, DecodeError, Failed, Problem, Report

ALIVE = "ordinary task"
"""The name of the task that is sent after each check."""


class CheckVerdict(StrEnum):
    """Whether a worker keeps a rule."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    NOT_COVERED = "not covered"
    """It was not seen: something is missing, or the rule is optional and the worker does not do it."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A verdict, and why, in a sentence."""

    verdict: CheckVerdict
    sentence: str


def passed(sentence: str) -> CheckResult:
    """The rule is kept."""
    return CheckResult(CheckVerdict.PASS, sentence)


def failed(sentence: str) -> CheckResult:
    """The rule is broken."""
    return CheckResult(CheckVerdict.FAIL, sentence)


def not_covered(sentence: str) -> CheckResult:
    """Nothing shows whether the rule is kept."""
    return CheckResult(CheckVerdict.NOT_COVERED, sentence)


@dataclass(frozen=True, slots=True)
class UnusableAnswer:
    """An answer with a valid token whose value is no result.

    Attributes:
        reason: as bridges name it, such as `not-json`.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class SeenProgress:
    """A progress record with a valid token.

    Attributes:
        report: None: it cannot be understood.
        detail: why not.
        at: seconds of a monotonic clock, when it was read.
        written_ms: the record's own time; None: unknown.
    """

    report: Report | None
    detail: str
    at: float
    written_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SeenAnswer:
    """An answer with a valid token.

    Attributes:
        at: seconds of a monotonic clock, when it was read.
        written_ms: the record's own time; None: unknown.
    """

    content: Completed | Failed | UnusableAnswer
    at: float
    written_ms: int | None = None

    @property
    def said(self) -> str:
        """What it says, for a sentence about the task."""
        match self.content:
            case Completed():
                return "was completed"
            case Failed():
                problem = self.problem
                return f"failed with {problem.type}" + (f" ({problem.detail})" if problem.detail else "")
            case UnusableAnswer(reason, detail):
                return f"has an answer that is unusable ({reason}: {detail})"

    @property
    def problem(self) -> Problem:
        """The problem of a failed answer."""
        try:
            return self.content.problem() if isinstance(self.content, Failed) else Problem()
        except DecodeError as error:  # nested too deep to be read here
            return Problem(detail=str(error))


@dataclass(slots=True)
class Observed:
    """What one check has seen so far.

    Attributes:
        sent: how often each task was sent.
        requests: of each task.
        answers: to each task.
        progress: of each task.
        strays: why records on the reply topic could not be assigned to a task.
        backlog: records of before the check that the worker's group had not done when it began; 0: none, or unknown.
        answered_before_stop: tasks that had an answer when the worker was killed or stopped.
        answered_before_cancel: tasks that had an answer when one of the check was cancelled.
        restarted: the worker was killed or stopped meanwhile.
        uncommitted: records that its group had not committed long after they were answered; 0: none, or unknown.
        had_to_be_killed: it did not end after SIGTERM.
        obstacle: why the steps could not be carried out; empty if they were.
        silent: it does not answer an ordinary task any more.
        ended: what its process said at its end; empty while it runs, or if its process is not known.
    """

    sent: Counter[str] = field(default_factory=Counter[str])
    requests: dict[str, bytes] = field(default_factory=dict[str, bytes])
    answers: defaultdict[str, list[SeenAnswer]] = field(
        default_factory=lambda: defaultdict[str, list[SeenAnswer]](list)
    )
    progress: defaultdict[str, list[SeenProgress]] = field(
        default_factory=lambda: defaultdict[str, list[SeenProgress]](list)
    )
    strays: list[str] = field(default_factory=list[str])
    backlog: int = 0
    answered_before_stop: frozenset[str] = frozenset()
    answered_before_cancel: frozenset[str] = frozenset()
    restarted: bool = False
    uncommitted: int = 0
    had_to_be_killed: bool = False
    obstacle: str = ""
    silent: bool = False
    ended: str = ""

    def tasks(self) -> list[str]:
        """The names of the check's own tasks."""
        return [name for name in self.sent if name != ALIVE]

    def answered(self) -> frozenset[str]:
        """Those of them with an answer."""
        return frozenset(name for name in self.tasks() if self.answers.get(name))

    def unanswered(self) -> list[str]:
        """Those of them without an answer."""
        return [name for name in self.tasks() if not self.answers.get(name)]

    def seen(self, name: str = "task") -> list[SeenAnswer]:
        """The answers to a task."""
        return self.answers.get(name, [])

    def not_completed(self) -> Iterator[tuple[str, SeenAnswer]]:
        """The check's own tasks with an answer that is not a completed one."""
        for name in self.tasks():
            for answer in self.seen(name):
                if not isinstance(answer.content, Completed):
                    yield name, answer
