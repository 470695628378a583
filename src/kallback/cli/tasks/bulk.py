"""Does something to many pending tasks: those that the command line or the console chose.

    all that a filter chooses ──► some hundreds, read again ──► their records, with one consumer ──► sent together

One to which it cannot be done is told and changes nothing for the others. Each is read again right before, because
meanwhile it may have ended, or have another attempt. Memory: of a record only what an answer needs is kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, Protocol

from kallback.cli.formatting import counted, plain
from kallback.cli.tasks.actions import TaskAction
from kallback.kafka import FindRecords, Position
from kallback.operations import (
    ByHand,
    NoKeyError,
    NotAnswerableError,
    NoTaskRecordError,
    PendingTask,
    TaskFilter,
    TaskPage,
    answer_headers_of,
)
from kallback.protocol import KafkaUnavailableError, KallbackError, TaskHeaders
from kallback.settings import Settings

DEFAULT_LIMIT: Final = 10_000
_TOGETHER: Final = 250
"""Tasks whose records are looked up and whose results are sent together: as many as are read again with one question,
and few enough for a look at how far it is."""
_NAMED: Final = 5
_OF_ONE_TASK: Final = (NotAnswerableError, NoTaskRecordError, NoKeyError)


class ReadsTasks(Protocol):
    """What reads pending tasks: `PendingTasks`; a test has another one."""

    def each(self, wanted: TaskFilter, /) -> AsyncGenerator[TaskPage]:
        """Return all tasks that are wanted."""
        ...

    async def current(self, tasks: Sequence[PendingTask], wanted: TaskFilter, /) -> list[PendingTask]:
        """Return those of some tasks that are still pending and wanted, as they are now."""
        ...


class ChosenTasks(NamedTuple):
    """Tasks to which something is to be done.

    Attributes:
        is_cut_off: there are more.
        unreadable: invocations whose journals cannot be read.
    """

    tasks: list[PendingTask]
    is_cut_off: bool
    unreadable: int

    def sentence(self, done: str = "", *, more: str = "there are more (--limit)") -> str:
        """How many there are, and of which types.

        Args:
            done: what would be done to them, such as ` would be cancelled`.
            more: what to say if there are more.
        """
        parts = [_count(self.tasks, done)]
        if self.is_cut_off:
            parts.append(more)
        if self.unreadable:
            unread = counted(self.unreadable, "invocation")
            parts.append(f"the tasks of {unread} are not among them: their journals cannot be read")
        return f"{'; '.join(parts)}."


def _count(tasks: Sequence[PendingTask], end: str) -> str:
    if not tasks:
        return "No pending tasks"
    types = Counter(task.task_type for task in tasks).most_common()
    named = ", ".join(f"{count:,} {plain(name)}" for name, count in types[:_NAMED])
    more = f" and {len(types) - _NAMED} more types" if len(types) > _NAMED else ""
    return f"{counted(len(tasks), 'pending task')}{end} ({named}{more})"


async def choose_tasks(
    pending: ReadsTasks, wanted: TaskFilter, limit: int, tell: Callable[[int], None] = lambda _: None
) -> ChosenTasks:
    """Return the tasks of the oldest invocations.

    Args:
        pending: reads them.
        wanted: which.
        limit: maximum number.
        tell: is told how many were found so far.
    """
    tasks, unreadable = list[PendingTask](), 0
    async with aclosing(pending.each(wanted)) as pages:
        async for page in pages:
            tasks += page.tasks
            unreadable += len(page.unreadable)
            tell(len(tasks))
            if len(tasks) > limit:
                break
    return ChosenTasks(tasks[:limit], len(tasks) > limit, unreadable)


class TaskResult(NamedTuple):
    """What became of one: where its result is, or why nothing was sent; neither if it is not chosen any more."""

    task: PendingTask
    at: Position | None = None
    error: str | None = None


class TaskSender:
    """Does something to tasks, some hundreds at a time, in their order, and says what became of each.

    Args:
        find: looks their records up.
        settings: of the environment.
        action: what is done.
        wanted: what they were chosen by.

    Attributes:
        sent: to how many it was done: Kafka has it.
        refused: to how many it could not be done.
        ended: how many had ended, or were not chosen any more, when their turn came.
    """

    def __init__(self, find: FindRecords, settings: Settings, action: TaskAction, wanted: TaskFilter) -> None:
        self._find: Final = find
        self._settings: Final = settings
        self._action: Final = action
        self._wanted: Final = wanted
        self.sent = self.refused = self.ended = 0
        self._under_way = 0

    @property
    def done(self) -> int:
        """How many had their turn."""
        return self.sent + self.refused + self.ended

    def total(self, count: int) -> str:
        """Return what became of so many tasks."""
        parts = [f"{self._action.done.capitalize()} {self.sent:,} of {counted(count, 'task')}"]
        if self.ended:
            parts.append(f"{self.ended:,} had ended, or the filters did not choose them any more")
        if self._under_way:
            parts.append(f"{self._under_way:,} more may have arrived: see kallback tasks list")
        return f"{'; '.join(parts)}."

    async def results(
        self, pending: ReadsTasks, by_hand: ByHand, tasks: Sequence[PendingTask]
    ) -> AsyncGenerator[TaskResult]:
        """Do it to all, and return what became of each; an error that concerns all ends it.

        Raises:
            KafkaUnavailableError, RestateUnavailableError, ConfigurationError: with what was sent in `sent`.
        """
        for first in range(0, len(tasks), _TOGETHER):
            some = tasks[first : first + _TOGETHER]
            current = {task.task_id: task for task in await pending.current(some, self._wanted)}
            ended = [task for task in some if task.task_id not in current]
            self.ended += len(ended)
            for task in ended:
                yield TaskResult(task)
            left = [current[task.task_id] for task in some if task.task_id in current]
            for result in await self._send(by_hand, left):
                if isinstance(result, TaskResult):
                    yield result
                else:
                    raise result

    async def _send(self, by_hand: ByHand, tasks: Sequence[PendingTask]) -> list[TaskResult | BaseException]:
        """All of them come to their ends: then it is known which were sent. What concerns all stands behind these."""
        refused = {task.task_id: error for task in tasks if (error := self._refusal(task)) is not None}
        possible = [task for task in tasks if task.task_id not in refused]
        headers = refused | await answer_headers_of(self._find, possible, self._settings)
        sending = (self._send_one(by_hand, task, headers[task.task_id]) for task in tasks)
        found = await asyncio.gather(*sending, return_exceptions=True)
        return sorted(found, key=lambda each: isinstance(each, BaseException))

    def _refusal(self, task: PendingTask) -> KallbackError | None:
        try:
            self._action.check(task)
        except _OF_ONE_TASK as error:
            return error
        return None

    async def _send_one(self, by_hand: ByHand, task: PendingTask, headers: TaskHeaders | KallbackError) -> TaskResult:
        """What concerns this task or its type alone is a result; what concerns all, such as Kafka, is raised."""
        if isinstance(headers, KallbackError):
            return self._refuse(task, headers)
        self._under_way += 1
        try:
            at = await self._action.send(by_hand, task, headers)
        except KafkaUnavailableError:
            raise  # it may have arrived
        except KallbackError as error:
            self._under_way -= 1
            if isinstance(error, _OF_ONE_TASK):
                return self._refuse(task, error)
            raise
        self._under_way -= 1
        self.sent += 1
        return TaskResult(task, at)

    def _refuse(self, task: PendingTask, error: KallbackError) -> TaskResult:
        self.refused += 1
        return TaskResult(task, error=str(error))
