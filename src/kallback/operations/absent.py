"""Why no handler waits for a task, by what Restate still has of it. Queries find the facts, a pure function decides.

Restate keeps the journal of an invocation for some time after its end (a day, unless it is told otherwise). A step that
publishes one task has its id in the name; where several were published together, and of an awakeable, the id is in the
value of the step. Names are looked at first: values of all journals cost more, and only they are encoded by a codec.

Restate reads all journals for that, so it is asked only while it keeps few enough, for one task at a time, and once for
each; for one that was not found, once a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from kallback.operations.introspection import RowSource
from kallback.operations.invocations import shortened_target
from kallback.operations.journals.entries import StepRow, decoded_step
from kallback.operations.journals.journal import Journal
from kallback.operations.journals.queries import holder_queries, quoted, waits_for_kafka_query
from kallback.operations.journals.reader import JournalReader
from kallback.operations.pending import PendingTasks, UnreadableJournalsError
from kallback.operations.tasks import PendingTask
from kallback.protocol import TaskId
from kallback.protocol.tokens import is_task_id

TRY_MS: Final = 35_000
"""As long a try to publish takes at most, after the wait for it."""
_SHOWN: Final = 300
"""Characters of a failure."""
_COLUMNS: Final = (
    "id, target, status, journal_size, completion_result, completed_at, "
    f"substr(completion_failure, 1, {_SHOWN}) AS completion_failure"
)
_KEPT: Final = 1000
_UNKNOWN_S: Final = 60.0
"""For so long a task that was not found is not looked for again: that reads all journals."""
_COMPLETED: Final = "completed"
_MOST_JOURNALS: Final = 200_000
"""That are looked through. 20,000 with 120,000 entries took 0.3 s, on a machine with other work."""
_COUNT: Final = f"SELECT count(*) AS kept FROM (SELECT id FROM sys_invocation_status LIMIT {_MOST_JOURNALS + 1})"  # noqa: S608 - a constant


class AbsenceCause(StrEnum):
    """Why no handler of this environment waits for a task."""

    HANDLER_ENDED = "handler-ended"
    """The task has ended, and so has its handler."""
    TASK_ENDED = "task-ended"
    """The task has ended: its handler has its result or has given it up, and goes on."""
    NOT_SENT = "not-sent"
    """Kafka does not have its first attempt yet."""
    OTHER_ENVIRONMENT = "other-environment"
    """A handler of another environment waits for it."""
    TOO_MANY_JOURNALS = "too-many-journals"
    """Restate keeps too many journals to look through them."""
    NO_ID = "no-id"
    """It is not the id of a task."""
    UNKNOWN = "unknown"
    """Restate has nothing of it: its journal is not kept any more, or the id is wrong."""


class _IdRow(msgspec.Struct):
    id: str


class _CountRow(msgspec.Struct):
    kept: int


@dataclass(frozen=True, slots=True)
class _Search:
    """The invocation that has a task, None where none was found; skipped if Restate keeps too many journals."""

    invocation_id: str | None
    at: float
    is_skipped: bool = False


class TaskHolder(msgspec.Struct, frozen=True, gc=False):
    """The invocation whose journal has a task, as Restate describes it."""

    id: str
    target: str
    status: str
    journal_size: int = 0
    completion_result: str | None = None
    completed_at: str | None = None
    completion_failure: str | None = None


@dataclass(frozen=True, slots=True)
class AbsentTask:
    """A task that no handler of this environment waits for.

    Attributes:
        holder: the invocation that has it in its journal; None if the cause is not known.
        audience: of its environment, if it is another one; else empty.
    """

    task_id: str
    cause: AbsenceCause
    holder: TaskHolder | None = None
    audience: str = ""

    @property
    def sentence(self) -> str:
        """What is the matter, without the remedy."""
        if self.holder is None:
            return self._without_holder
        handler = f"{shortened_target(self.holder.target)} ({self.holder.id}, {self.holder.status})"
        match self.cause:
            case AbsenceCause.HANDLER_ENDED:
                return f"task {self.task_id} has ended, and so has its handler {handler}{_end(self.holder)}"
            case AbsenceCause.NOT_SENT:
                return f"Kafka does not have task {self.task_id} yet: its handler {handler} tries to publish it"
            case AbsenceCause.OTHER_ENVIRONMENT:
                return (
                    f"task {self.task_id} is of another environment: its handler {handler} waits for results of "
                    f"audience {self.audience}"
                )
            case _:
                return (
                    f"task {self.task_id} has ended: its handler {handler} has its result, or gave it up, and does not "
                    "wait for it any more"
                )

    @property
    def _without_holder(self) -> str:
        match self.cause:
            case AbsenceCause.NO_ID:
                return f"{self.task_id!r} is not the id of a task: 16 letters, digits, underscores and hyphens"
            case AbsenceCause.TOO_MANY_JOURNALS:
                return (
                    f"no handler of this environment waits for task {self.task_id}; Restate keeps more than "
                    f"{_MOST_JOURNALS:,} journals, which are not looked through for it"
                )
            case _:
                return (
                    f"Restate has no journal with task {self.task_id}: its handler ended longer ago than Restate keeps "
                    "journals, or the id is wrong"
                )

    @property
    def remedy(self) -> str:
        """What to do, or where to look."""
        match self.cause:
            case AbsenceCause.NOT_SENT:
                return "`kallback doctor` says why Kafka does not have it"
            case AbsenceCause.OTHER_ENVIRONMENT:
                return "set KALLBACK_TOPICS_PREFIX (or KALLBACK_AUDIENCE) as its service has it"
            case AbsenceCause.NO_ID:
                return "`kallback tasks list` shows the ids"
            case AbsenceCause.UNKNOWN | AbsenceCause.TOO_MANY_JOURNALS:
                return f"`kallback outcomes list --task {self.task_id} --since 30d` shows its results, if there are any"
            case _:
                return f"`kallback outcomes list --task {self.task_id}` shows its results, if any came"


class AbsentTasks:
    """Says why no handler waits for a task that `PendingTasks.find` does not know.

    Args:
        introspection: an `Introspection` that its owner has started.
        audience: of the environment.
        clock: seconds since the epoch.
    """

    def __init__(self, introspection: RowSource, audience: str, *, clock: Callable[[], float] = time.time) -> None:
        self._introspection: Final = introspection
        self._reader: Final = JournalReader(introspection)
        self._audience: Final = audience
        self._clock: Final = clock
        self._searches: Final = OrderedDict[str, _Search]()
        self._searching: Final = asyncio.Lock()

    async def explain(self, task_id: str) -> AbsentTask:
        """Say why; raises as `Introspection.rows`, but for answers that are too large."""
        if not is_task_id(task_id):
            return AbsentTask(task_id, AbsenceCause.NO_ID)
        search = await self._found(task_id)
        if search.is_skipped:
            return AbsentTask(task_id, AbsenceCause.TOO_MANY_JOURNALS)
        holder = await self._holder(search)
        if holder is None:
            return AbsentTask(task_id, AbsenceCause.UNKNOWN)
        if holder.status == _COMPLETED:
            return AbsentTask(task_id, AbsenceCause.HANDLER_ENDED, holder)
        journal = (await self._reader.read({holder.id: holder.journal_size}))[holder.id]
        waits = await self._introspection.rows(waits_for_kafka_query(holder.id), StepRow)
        now_ms = int(self._clock() * 1000)
        is_trying = bool(journal.without_values) or any(_is_under_way(each, now_ms) for each in waits)
        return absent_task(TaskId(task_id), holder, journal, now_ms, audience=self._audience, is_trying=is_trying)

    async def find_pending(self, pending: PendingTasks, task_id: str) -> PendingTask | None:
        """Return the task if a handler waits for it.

        Names of steps can be read where their values are encoded. So a task whose handler has ended is known to be in
        no journal that cannot be read.

        Raises:
            UnreadableJournalsError: as `PendingTasks.find`, but not for such a task.
        """
        try:
            return await pending.find(task_id)
        except UnreadableJournalsError:
            if (await self.explain(task_id)).cause is not AbsenceCause.HANDLER_ENDED:
                raise
            return None

    async def _holder(self, search: _Search) -> TaskHolder | None:
        if search.invocation_id is None:
            return None
        sql = f"SELECT {_COLUMNS} FROM sys_invocation WHERE id IN ({quoted([search.invocation_id])})"  # noqa: S608 - `quoted` lets ids through only
        rows = await self._introspection.rows(sql, TaskHolder)
        return rows[0] if rows else None

    async def _found(self, task_id: str) -> _Search:
        """Search, one task at a time; a page that is open asks again and again, and a task stays in one journal."""
        async with self._searching:
            search = self._searches.get(task_id)
            if search is None or (search.invocation_id is None and self._clock() - search.at >= _UNKNOWN_S):
                search = self._searches[task_id] = await self._search(task_id)
                if len(self._searches) > _KEPT:
                    self._searches.popitem(last=False)
            return search

    async def _search(self, task_id: str) -> _Search:
        counts = await self._introspection.rows(_COUNT, _CountRow)
        if any(count.kept > _MOST_JOURNALS for count in counts):
            return _Search(None, self._clock(), is_skipped=True)
        for query in holder_queries(task_id):
            if rows := await self._introspection.rows(query, _IdRow):
                return _Search(rows[0].id, self._clock())
        return _Search(None, self._clock())


def absent_task(
    task_id: TaskId, holder: TaskHolder, journal: Journal, now_ms: int, *, audience: str, is_trying: bool
) -> AbsentTask:
    """Say why an open invocation with a task in its journal does not wait for it in this environment. Pure.

    Args:
        task_id: of the task.
        holder: the invocation.
        journal: of it.
        now_ms: the time, in epoch milliseconds.
        audience: of this environment.
        is_trying: its handler tries to publish something.
    """
    waiting = [each.audience for each in journal.waiting(now_ms) if each.task_id == task_id]
    others = [each for each in waiting if each != audience]
    if others:
        return AbsentTask(task_id, AbsenceCause.OTHER_ENVIRONMENT, holder, others[0])
    if is_trying and not journal.has_sent(task_id):
        return AbsentTask(task_id, AbsenceCause.NOT_SENT, holder)
    return AbsentTask(task_id, AbsenceCause.TASK_ENDED, holder)


def _is_under_way(step: StepRow, now_ms: int) -> bool:
    """Whether a wait for Kafka lasts, or the try behind it may still run."""
    command = decoded_step(step.entry_lite_json).command
    return command is not None and command.sleep is not None and command.sleep.wake_up_time + TRY_MS > now_ms


def _end(holder: TaskHolder) -> str:
    """How, when and with what a handler ended; empty if Restate does not say."""
    if holder.completed_at is None:
        return ""
    at = datetime.fromisoformat(holder.completed_at).astimezone(UTC)
    how = f" with {holder.completion_result}" if holder.completion_result else ""
    failure = (holder.completion_failure or "").partition("\n")[0]
    return f",{how} at {at:%Y-%m-%d %H:%M:%S}Z" + (f" ({failure})" if failure else "")
