"""Which task types are waited for, and by which invocations: a summary of the pending tasks, in bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from typing import Final

from kallback.operations.absent import AbsentTask
from kallback.operations.doctor.findings import Finding, warning
from kallback.operations.pending import PendingTasks
from kallback.operations.tasks import PendingTask
from kallback.protocol import Attempt, TaskId

_MOST: Final = 20_000
"""Pending tasks that are looked at, those of the oldest invocations: some seconds."""


class PendingTypes:
    """What pending tasks wait for.

    Args:
        target: name of the type of the tasks that are wanted, or of its topic; empty: all.

    Attributes:
        topics: of their records.
        invocations: ids of those that wait, or have their results and have not gone on yet.
        unanswered: awakeables among the tasks.
        attempts: the current attempt of each task.
        oldest_ms: when the oldest of them was created, epoch milliseconds; 0 without any.
        count: how many tasks were read.
        is_cut_off: there are more.
        unreadable: invocations whose journals cannot be read.
    """

    def __init__(self, target: str) -> None:
        self._target: Final = target
        self.topics: Final = set[str]()
        self.invocations: Final = set[str]()
        self.unanswered: Final = list[PendingTask]()
        self.attempts: Final = dict[TaskId, Attempt]()
        self.oldest_ms = 0
        self.count = 0
        self.is_cut_off = False
        self.unreadable = 0

    async def read(self, pending: PendingTasks) -> None:
        """Read them, the oldest first, in bounds; raises as `PendingTasks.each`."""
        async with aclosing(pending.each()) as pages:
            async for page in pages:
                found, untaken = self._wanted(page.tasks), self._wanted(page.untaken)
                self.topics.update(task.position.topic for task in found if task.position is not None)
                self.unanswered.extend(task for task in found if task.signal is not None)
                self.invocations.update(task.invocation.id for task in (*found, *untaken))
                self.attempts.update((task.task_id, task.attempt) for task in found)
                created = [task.created_ms for task in found]
                self.oldest_ms = min(created + ([self.oldest_ms] if self.oldest_ms else []), default=0)
                self.count += len(page.tasks)
                self.unreadable += len(page.unreadable)
                if self.count >= _MOST and page.cursor is not None:
                    self.is_cut_off = True
                    return

    def remarks(self) -> Iterator[Finding]:
        """What was not looked at; who names a type knows what is looked at."""
        if self._target:
            return
        if self.unreadable:
            number = "1 invocation" if self.unreadable == 1 else f"{self.unreadable:,} invocations"
            yield warning(
                "workers",
                f"the tasks of {number} were not looked at: their journals are encoded (a journal value codec), or too "
                "large",
                "name each of their types: kallback doctor TYPE",
            )
        if self.is_cut_off:
            yield warning(
                "workers",
                f"only the types of the oldest {self.count:,} pending tasks were looked at",
                "name another type: kallback doctor TYPE",
            )

    def _wanted(self, tasks: Iterable[PendingTask]) -> list[PendingTask]:
        return [task for task in tasks if self._target in ("", task.task_type, _topic_of(task))]

    def topics_of(self, existing: AbstractSet[str]) -> list[str]:
        """The topics of the tasks; if there are none, the wanted one, if it exists."""
        return sorted(self.topics or {self._target} & existing)


def unknown_type_finding(target: str, *, is_module: bool = False) -> Finding:
    """For a name that leads to no topic: it may be right nevertheless, or that of a Python module."""
    if is_module:
        return warning(
            "type",
            f"no topic is named {target}, and no pending task is of a type with this name: it is a Python module",
            f"name a task type in it, MODULE:NAME: kallback doctor {target}:NAME",
        )
    return warning(
        "type",
        f"no topic is named {target}, and no pending task is of a type with this name, so there are no workers to "
        "look at",
        "if the type has topic=..., name that topic, or the type itself as MODULE:NAME; if its workers read a topic of "
        f"this name, create it: kallback topics create {target}; if handlers wait for answers of people "
        "(callbacks.awakeable), there is no topic and no worker",
    )


def absent_task_finding(absent: AbsentTask) -> Finding:
    """For the id of a task that no handler waits for, and that no pending task has as its type either."""
    return warning("task", absent.sentence, absent.remedy)


def _topic_of(task: PendingTask) -> str | None:
    return None if task.position is None else task.position.topic
