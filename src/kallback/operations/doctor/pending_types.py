"""Which task types are waited for, and by which invocations: a summary of the pending tasks, in bounds."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from kallback.operations.pending import PendingTasks
from kallback.operations.tasks import PendingTask

_MOST: Final = 20_000
"""Pending tasks that are looked at, those of the oldest invocations: some seconds."""


class PendingTypes:
    """What pending tasks wait for.

    Args:
        topic: of the tasks that are wanted; empty: all.

    Attributes:
        topics: of their records.
        invocations: ids of those that wait.
        unanswered: awakeables among the tasks.
        count: how many tasks were read.
        is_cut_off: there are more.
    """

    def __init__(self, topic: str) -> None:
        self._topic: Final = topic
        self.topics: Final = set[str]()
        self.invocations: Final = set[str]()
        self.unanswered: Final = list[PendingTask]()
        self.count = 0
        self.is_cut_off = False

    async def read(self, pending: PendingTasks) -> None:
        """Read them, the oldest first, in bounds; raises as `PendingTasks.each`."""
        async with aclosing(pending.each()) as pages:
            async for page in pages:
                found = [task for task in page.tasks if self._topic in ("", _topic_of(task))]
                self.topics.update(task.position.topic for task in found if task.position is not None)
                self.unanswered.extend(task for task in found if task.signal is not None)
                self.invocations.update(task.invocation.id for task in found)
                self.count += len(page.tasks)
                if self.count >= _MOST and page.cursor is not None:
                    self.is_cut_off = True
                    return


def _topic_of(task: PendingTask) -> str:
    """The topic of its record; of an awakeable the name of its type, which is that of its topic, if it had one."""
    return task.task_type if task.position is None else task.position.topic
