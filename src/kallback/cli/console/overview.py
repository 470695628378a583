"""Counts of what is pending and of what failed, for the first page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from kallback.cli.console.sources import ConsoleSources, LastLetters
from kallback.operations import PendingTask, TaskState
from kallback.protocol import KallbackError, OutcomeRecord


@dataclass(slots=True)
class Overview:
    """What the first page shows.

    Attributes:
        tasks: pending tasks by type and state.
        oldest: the pending task that was created first; None without one.
        has_more: whether there are more pending tasks than were counted.
        unreadable: invocations whose journals cannot be read.
        untaken: ids of invocations that have a result and have not gone on yet.
        letters: the last dead letters by reason; records that a summary counts are included.
        outcomes: the last ones, the newest first.
        failures: sentences of what could not be read.
        read_ms: when it was read, epoch milliseconds.
    """

    read_ms: int
    tasks: Counter[tuple[str, TaskState]] = field(default_factory=Counter[tuple[str, TaskState]])
    oldest: PendingTask | None = None
    has_more: bool = False
    unreadable: int = 0
    untaken: set[str] = field(default_factory=set[str])
    letters: Counter[str] = field(default_factory=Counter[str])
    outcomes: list[OutcomeRecord] = field(default_factory=list[OutcomeRecord])
    failures: list[str] = field(default_factory=list[str])


class OverviewReader:
    """Reads overviews.

    Args:
        letters: returns the last dead letters; raises as `ConsoleSources.letters`.
        outcomes: returns the last outcomes; raises as `ConsoleSources.outcomes`.
        max_tasks: pending tasks that are counted at most.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        sources: ConsoleSources,
        letters: Callable[[], Awaitable[LastLetters]],
        outcomes: Callable[[], Awaitable[list[OutcomeRecord]]],
        max_tasks: int,
        now: Callable[[], float],
    ) -> None:
        self._sources: Final = sources
        self._letters: Final = letters
        self._outcomes: Final = outcomes
        self._max_tasks: Final = max_tasks
        self._now: Final = now

    async def read(self) -> Overview:
        """Return an overview; what cannot be read is a sentence in it. All servers are asked at the same time."""
        overview = Overview(int(self._now() * 1000))
        counts = (self._count_tasks, self._count_letters, self._read_outcomes)
        said = await asyncio.gather(*(_failure_of(count(overview)) for count in counts))
        overview.failures = list(dict.fromkeys(each for each in said if each is not None))
        return overview

    async def _count_tasks(self, overview: Overview) -> None:
        counted = 0
        async with aclosing(self._sources.all_tasks()) as pages:
            async for page in pages:
                overview.unreadable += len(page.unreadable)
                overview.untaken.update(task.invocation.id for task in page.untaken)
                for task in page.tasks:
                    if counted == self._max_tasks:
                        overview.has_more = True
                        return
                    counted += 1
                    _count(overview, task)

    async def _count_letters(self, overview: Overview) -> None:
        for letter in (await self._letters()).letters:
            overview.letters[letter.reason] += letter.count

    async def _read_outcomes(self, overview: Overview) -> None:
        overview.outcomes = await self._outcomes()


async def _failure_of(count: Awaitable[None]) -> str | None:
    try:
        await count
    except KallbackError as error:
        return str(error)
    return None


def _count(overview: Overview, task: PendingTask) -> None:
    overview.tasks[task.task_type, task.state] += 1
    if overview.oldest is None or task.created_ms < overview.oldest.created_ms:
        overview.oldest = task
