"""The tasks that handlers wait for, read from Restate's introspection, page by page, the oldest invocation first.

    open invocations ──► their publishing steps ──► values of these ──► states of TaskMonitor ──► a page

Nothing is stored: each page is read anew, and a cursor says where the next one begins. Memory is bounded by the chunk
of invocations that is read at one time; a chunk whose answer is too large is halved.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from kallback.kafka import Position
from kallback.operations.introspection import RowSource
from kallback.operations.journals.awakeables import AwakeableValue, WaitingAwakeable
from kallback.operations.journals.journal import Journal, Waiting
from kallback.operations.journals.queries import quoted
from kallback.operations.journals.reader import JournalReader
from kallback.operations.monitor_states import MonitorStates, WatchedState
from kallback.operations.tasks import PendingTask, TaskFilter, WaitingInvocation
from kallback.protocol import ConfigurationError, KallbackError, TaskId, locate_awakeable
from kallback.protocol.tokens import FIRST_ATTEMPT, is_task_id
from kallback.settings import Settings

PAGE_TASKS: Final = 100
_STATES: Final = 500
"""Tasks of which the states of `TaskMonitor` are asked for at one time."""
_BEHIND: Final = 10**9 - 1
"""Behind all tasks of an invocation."""
_CHUNK: Final = 1000
"""Invocations that are read at one time, at most."""
_ALL: Final = TaskFilter()
_CURSOR: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)~(inv_[A-Za-z0-9]{1,64})~(\d{1,9})", re.ASCII
)
_YEARS: Final = range(1970, 2262)
"""What Restate's timestamps hold; it fails a query with another year."""
_SAME_PAGE: Final = (
    "Restate's introspection answers the same invocations again: correct KALLBACK_RESTATE_ADMIN_URL, or have the proxy "
    "in front of it keep no answers"
)
_OPEN: Final = "status IN ('invoked', 'suspended', 'paused')"
_COLUMNS: Final = "id, target, target_service_name, target_handler_name, status, created_at, journal_size"

Clock = Callable[[], float]


class UnreadableJournalsError(KallbackError):
    """A task is not in the journals that can be read, and some cannot."""

    has_entry = True


class InvalidCursorError(KallbackError):
    """A cursor is not one that a page had."""


class _Cursor(NamedTuple):
    """Where a page begins: at a task of an invocation."""

    created_at: str
    invocation: str
    number: int

    def __str__(self) -> str:
        return "~".join(map(str, self))


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some pending tasks.

    Attributes:
        cursor: where the next page begins; None after the last one.
        unreadable: open invocations, read for this page, whose journal values are encoded (a journal value codec): what
            they wait for cannot be shown.
        untaken: tasks that are not pending any more, because their results came, but whose handlers have done nothing
            since, and wait for no other task: among them those whose service is down. Without a wish for states only.
    """

    tasks: list[PendingTask]
    cursor: str | None
    unreadable: frozenset[str] = frozenset()
    untaken: tuple[PendingTask, ...] = ()


class _InvocationRow(msgspec.Struct, frozen=True, gc=False):
    id: str
    target: str
    target_service_name: str
    target_handler_name: str
    status: str
    created_at: str
    journal_size: int

    def __post_init__(self) -> None:
        quoted([self.id])
        datetime.fromisoformat(self.created_at)  # msgspec makes an error of decoding of what either of them raises

    def invocation(self) -> WaitingInvocation:
        created_ms = int(datetime.fromisoformat(self.created_at).timestamp() * 1000)
        handler = f"{self.target_service_name}/{self.target_handler_name}"
        return WaitingInvocation(self.id, self.target, handler, self.status, created_ms)


class _Chunk(NamedTuple):
    """What some open invocations wait for.

    Attributes:
        waiting: the attempts and the awakeables of this environment.
        end: where the next chunk begins; None after the last one.
        unreadable: those of the invocations whose journals are encoded.
        untaken: as in `TaskPage`, whatever is wanted.
    """

    waiting: list[tuple[_InvocationRow, Waiting]]
    end: _Cursor | None
    unreadable: frozenset[str]
    untaken: list[PendingTask]

    def wanted_untaken(self, wanted: TaskFilter) -> list[PendingTask]:
        return [] if wanted.states else [each for each in self.untaken if wanted.accepts(each)]


class PendingTasks:
    """Lists pending tasks of one environment.

    Args:
        introspection: an `Introspection` that its owner has started.
        settings: of the environment, which its audience names.
        clock: seconds since the epoch.
    """

    def __init__(self, introspection: RowSource, settings: Settings, *, clock: Clock = time.time) -> None:
        self._introspection: Final = introspection
        self._reader: Final = JournalReader(introspection)
        self._audience: Final = settings.keys.audience
        self._states: Final = MonitorStates(introspection, settings.services.monitor)
        self._clock: Final = clock

    async def page(self, wanted: TaskFilter = _ALL, *, cursor: str | None = None, limit: int = PAGE_TASKS) -> TaskPage:
        """Return the next tasks, those of the oldest invocations first.

        Args:
            wanted: the tasks to return.
            cursor: of the page before; None: from the beginning.
            limit: most tasks of the page.

        Raises:
            InvalidCursorError: no page had this cursor.
            ConfigurationError: a wrong address, or a server that is too old.
            AccessDeniedError: Restate wants a token.
            RestateUnavailableError: no answer, or Restate refuses queries for now.
        """
        tasks, unreadable, untaken = list[PendingTask](), set[str](), list[PendingTask]()
        async with aclosing(self._chunks(_read_cursor(cursor), min(_CHUNK, limit + 1))) as chunks:
            async for chunk in chunks:
                unreadable |= chunk.unreadable
                untaken += chunk.wanted_untaken(wanted)
                async for row, attempt, task in self._tasks(chunk.waiting, wanted):
                    if len(tasks) == limit:
                        behind = str(_Cursor(row.created_at, row.id, attempt.number))
                        return TaskPage(tasks, behind, frozenset(unreadable), tuple(untaken))
                    tasks.append(task)
                if wanted.task_ids and len(tasks) == len(wanted.task_ids):
                    break
        return TaskPage(tasks, None, frozenset(unreadable), tuple(untaken))

    async def each(self, wanted: TaskFilter = _ALL) -> AsyncGenerator[TaskPage]:
        """Return all tasks, the oldest first, as pages of those that some hundreds of invocations wait for.

        It reads each journal once; a row of `page`s reads some of them twice. The same errors as `page`.
        """
        async with aclosing(self._chunks(None, _CHUNK)) as chunks:
            async for chunk in chunks:
                tasks = [task async for _, _, task in self._tasks(chunk.waiting, wanted)]
                cursor, untaken = None if chunk.end is None else str(chunk.end), chunk.wanted_untaken(wanted)
                yield TaskPage(tasks, cursor, chunk.unreadable, tuple(untaken))

    async def current(self, tasks: Sequence[PendingTask], wanted: TaskFilter = _ALL) -> list[PendingTask]:
        """Return those of some tasks that are still pending and wanted, as they are now; the same errors as `page`.

        Args:
            tasks: some hundreds, which were read before.
            wanted: what they were chosen by.
        """
        if not tasks:
            return []
        rows = await self._invocations_of(sorted({task.invocation.id for task in tasks}))
        waiting = self._waiting(rows, await self._journals(rows), None)
        own = replace(wanted, task_ids=frozenset(task.task_id for task in tasks))
        return [task async for _, _, task in self._tasks(waiting, own)]

    async def find(self, task_id: str) -> PendingTask | None:
        """Return one pending task; None if no handler waits for it. Reads all journals if the type has no heartbeats.

        Raises:
            UnreadableJournalsError: it was not found, and some journals cannot be read.
            ConfigurationError, AccessDeniedError, RestateUnavailableError: as `page`.
        """
        if not is_task_id(task_id):
            return None
        wanted = TaskFilter(task_ids=frozenset({TaskId(task_id)}))
        watched = (await self._states.of([TaskId(task_id)])).get(TaskId(task_id))
        if watched is not None:
            rows = await self._invocations_of([locate_awakeable(watched.awakeable_id).invocation_id])
            waiting = self._waiting(rows, await self._journals(rows), None)
            async for _, _, task in self._tasks(waiting, wanted):
                return task
        unreadable = 0
        async with aclosing(self.each(wanted)) as pages:
            async for page in pages:
                if page.tasks:
                    return page.tasks[0]
                unreadable += len(page.unreadable)
        if unreadable:
            raise UnreadableJournalsError(
                f"no journal that can be read has task {task_id}, and {unreadable} cannot (encoded by a journal value "
                "codec, or too large): it may be in one of them, and `kallback tasks progress` asks TaskMonitor, if "
                f"its type has heartbeats; or it has ended: `kallback outcomes list --task {task_id}`"
            )
        return None

    async def find_untaken(self, task_id: str) -> PendingTask | None:
        """Return a task whose result came, and whose handler has done nothing since; the same errors as `page`."""
        if not is_task_id(task_id):
            return None
        async with aclosing(self.each(TaskFilter(task_ids=frozenset({TaskId(task_id)})))) as pages:
            async for page in pages:
                if page.untaken:
                    return page.untaken[0]
        return None

    async def _chunks(self, start: _Cursor | None, count: int) -> AsyncGenerator[_Chunk]:
        """Read open invocations with their journals: so many first, then many at a time."""
        while True:
            rows = await self._invocations(start, count)
            journals = await self._journals(rows)
            unreadable = frozenset(each.invocation_id for each in journals.values() if each.is_unreadable)
            end = _Cursor(rows[-1].created_at, rows[-1].id, _BEHIND) if len(rows) == count else None
            if end is not None and end == start:
                raise ConfigurationError(_SAME_PAGE)
            yield _Chunk(self._waiting(rows, journals, start), end, unreadable, self._untaken(rows, journals))
            if end is None:
                return
            start, count = end, _CHUNK

    async def _invocations(self, start: _Cursor | None, count: int) -> list[_InvocationRow]:
        """The open invocations from a place on, the oldest first."""
        behind = (
            ""
            if start is None
            else (
                f"AND (created_at > '{start.created_at}' OR (created_at = '{start.created_at}' AND "
                f"id >= '{start.invocation}')) "
            )
        )
        return await self._introspection.rows(
            f"SELECT {_COLUMNS} FROM sys_invocation_status WHERE {_OPEN} {behind}"  # noqa: S608 - a checked cursor
            f"ORDER BY created_at, id LIMIT {count}",
            _InvocationRow,
        )

    async def _invocations_of(self, ids: Sequence[str]) -> list[_InvocationRow]:
        """Those of these invocations that are open."""
        sql = f"SELECT {_COLUMNS} FROM sys_invocation_status WHERE id IN ({quoted(ids)}) AND {_OPEN}"  # noqa: S608 - `quoted` lets ids through only
        return await self._introspection.rows(sql, _InvocationRow)

    async def _journals(self, rows: Sequence[_InvocationRow]) -> dict[str, Journal]:
        return await self._reader.read({row.id: row.journal_size for row in rows})

    def _waiting(
        self, rows: Sequence[_InvocationRow], journals: Mapping[str, Journal], start: _Cursor | None
    ) -> list[tuple[_InvocationRow, Waiting]]:
        """What is waited for in this environment, from a place on."""
        now_ms = int(self._clock() * 1000)
        return [
            (row, attempt)
            for row in rows
            for attempt in journals[row.id].waiting(now_ms)
            if attempt.audience == self._audience
            and (start is None or row.id != start.invocation or attempt.number >= start.number)
        ]

    def _untaken(self, rows: Sequence[_InvocationRow], journals: Mapping[str, Journal]) -> list[PendingTask]:
        """Of handlers that wait for nothing else: one that does takes the results of several tasks together."""
        now_ms, found = int(self._clock() * 1000), list[PendingTask]()
        for row in rows:
            own = [each for each in journals[row.id].untaken(row.journal_size) if each.audience == self._audience]
            if own and not journals[row.id].waiting(now_ms):
                found += [_pending(row, each) for each in own]
        return found

    async def _tasks(
        self, waiting: Sequence[tuple[_InvocationRow, Waiting]], wanted: TaskFilter
    ) -> AsyncGenerator[tuple[_InvocationRow, Waiting, PendingTask]]:
        """The wanted tasks; the states of `TaskMonitor` are asked for some hundreds of them at a time."""
        whatever_state = replace(wanted, states=frozenset())
        for first in range(0, len(waiting), _STATES):
            found = [(row, attempt, _pending(row, attempt)) for row, attempt in waiting[first : first + _STATES]]
            found = [each for each in found if whatever_state.accepts(each[2])]
            watched = await self._states.of([each[2].task_id for each in found if each[1].monitored])
            for row, attempt, pending in found:
                task = _with_progress(pending, watched.get(pending.task_id))
                if wanted.accepts(task):
                    yield row, attempt, task


def _pending(row: _InvocationRow, attempt: Waiting) -> PendingTask:
    invocation = row.invocation()
    if isinstance(attempt, WaitingAwakeable):
        return _unanswered(attempt.value, invocation)
    shared, task = attempt.shared, attempt.task
    return PendingTask(
        task.task_id,
        shared.task_type,
        task.attempt,
        Position(shared.topic, task.partition, task.offset),
        invocation.created_ms if shared.created_ms is None else shared.created_ms,
        shared.deadline_ms,
        invocation,
        next_attempt_ms=attempt.next_attempt_ms,
    )


def _unanswered(value: AwakeableValue, invocation: WaitingInvocation) -> PendingTask:
    return PendingTask(
        value.task_id,
        value.awakeable.task_type,
        FIRST_ATTEMPT,
        None,
        invocation.created_ms if value.created_ms is None else value.created_ms,
        value.deadline_ms,
        invocation,
        signal=value.awakeable.signal,
    )


def _with_progress(task: PendingTask, watched: WatchedState | None) -> PendingTask:
    if watched is None or watched.attempt != task.attempt:
        return task
    return replace(task, progress=watched.progress)


def _read_cursor(text: str | None) -> _Cursor | None:
    if text is None:
        return None
    shape = _CURSOR.fullmatch(text)
    if shape is None or not _is_time(shape[1]):
        raise InvalidCursorError("the cursor is not one of a page of pending tasks: begin without one")
    return _Cursor(shape[1], shape[2], int(shape[3]))


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).year in _YEARS
    except ValueError:  # the thirteenth month
        return False
