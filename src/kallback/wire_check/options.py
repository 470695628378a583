"""What a run of the checks is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Self

from kallback.protocol import Convention, Conventions

_NAME_CHARACTERS: Final = 200
"""Of the worker's topic in the names of the check's own, which have 249 at most."""


def own_topics(prefix: str, tasks: str) -> tuple[str, str]:
    """Name the topics for results and for progress that the check makes itself.

    Args:
        prefix: of all topics of checks.
        tasks: topic that the worker reads.
    """
    stem = f"{prefix}{tasks[:_NAME_CHARACTERS]}"
    return f"{stem}.results", f"{stem}.progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequests:
    """The values of the tasks that are sent, JSON.

    Attributes:
        good: requests that the worker completes; at least one. The first is that of most tasks.
        failing: a request that the worker fails; None: not checked.
        long: a request that takes the worker some seconds; None: not checked.
    """

    good: tuple[bytes, ...]
    failing: bytes | None = None
    long: bytes | None = None

    @property
    def unicode(self) -> bytes | None:
        """The first good request with a character beyond ASCII."""
        return next((each for each in self.good if not each.isascii()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTopics:
    """Where records go and come from.

    Attributes:
        tasks: topic that the worker reads.
        results: the reply topic of the tasks.
        progress: for progress of tasks that ask for it.
        control: for cancels; empty: it does not exist, and cancels are not checked.
    """

    tasks: str
    results: str
    progress: str
    control: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WireCheckOptions:
    """How the checks are run.

    Attributes:
        requests: the values of tasks.
        topics: where they go.
        task_type: the name in header and token.
        timeout: seconds to wait for an answer; default 30.
        restart_grace: seconds more after a worker was killed: until its group notices that. Default 60, for the
            default session timeout of 45 s.
        heartbeats: the task type has them. Default yes; otherwise long tasks ask for none, and none are checked.
        heartbeat_every: seconds between the heartbeats that a long task asks for; default 1.
        settle: seconds for which answers are read at the end, which show what was answered twice. Default 2.
        only: names of checks; empty: all.
        convention: of the worker's framework: tasks have its headers.
        conventions: what marks answers as failed.
    """

    requests: CheckRequests
    topics: CheckedTopics
    task_type: str
    timeout: float = 30.0
    restart_grace: float = 60.0
    heartbeats: bool = True
    heartbeat_every: float = 1.0
    settle: float = 2.0
    only: frozenset[str] = frozenset()
    convention: Convention = Convention.KALLBACK
    conventions: Conventions = field(default_factory=Conventions)

    @property
    def heartbeat_every_ms(self) -> int:
        """For the header."""
        return max(1, int(self.heartbeat_every * 1000))

    def with_topics(self, topics: CheckedTopics) -> Self:
        """The same with other topics."""
        return replace(self, topics=topics)
