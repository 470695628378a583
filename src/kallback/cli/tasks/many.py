"""What is done to many pending tasks: to all that the filters choose.

First all are listed, then their count is confirmed, then it is done to each by itself: one to which it cannot be done
is told and changes nothing for the others. Each is read again right before, because meanwhile it may have ended, or
have another attempt.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.confirmation import confirm
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.help import option, with_options
from kallback.cli.tables import print_table
from kallback.cli.tasks.actions import TaskAction
from kallback.cli.tasks.factories import OperationsFactories, operations_factories
from kallback.cli.tasks.filters import filter_of, filtering
from kallback.cli.tasks.rows import HEADINGS, members_of, row_of
from kallback.kafka import Position, Producer
from kallback.operations import (
    ByHand,
    NoKeyError,
    NotAnswerableError,
    NoTaskRecordError,
    PendingTask,
    PendingTasks,
    RowSource,
    TaskFilter,
    answer_headers,
)
from kallback.protocol import AccessDeniedError, KafkaUnavailableError, KallbackError, MissingTopicError
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings

_AT_ONCE: Final = 32
"""Tasks whose records are looked up at the same time: each takes a connection to Kafka."""
_MOST: Final = 100_000
_DEFAULT: Final = 10_000
_NAMED: Final = 5
_OF_ONE_TASK: Final = (NotAnswerableError, NoTaskRecordError, NoKeyError)
_OF_ITS_TOPIC: Final = (MissingTopicError, AccessDeniedError)
"""While its record is read."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class NotAllDoneError(KallbackError):
    """It could not be done to some tasks; the lines before say which, and why."""

    has_entry = True


class _Chosen(NamedTuple):
    """Tasks to which something is to be done.

    Attributes:
        is_cut_off: there are more.
        unreadable: invocations whose journals cannot be read.
    """

    tasks: list[PendingTask]
    is_cut_off: bool
    unreadable: int


class _TaskResult(NamedTuple):
    """What became of one: where its result is, or why nothing was sent; neither if it is not chosen any more."""

    task: PendingTask
    at: Position | None = None
    error: str | None = None


def for_many(run: Decorated) -> Decorated:
    """Add the options with which something is done to many tasks; `ManyTasks` reads what they give."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        option("--all", "everything", is_flag=True, help="Do it to all pending tasks that the filters choose."),
        filtering,
        option(
            "--limit",
            default=_DEFAULT,
            show_default=True,
            type=click.IntRange(1, _MOST),
            metavar="N",
            help="With --all: maximum number of tasks, those of the oldest invocations.",
        ),
        option("--dry-run", is_flag=True, help="With --all: list the tasks, and send nothing."),
        option("-y", "--yes", is_flag=True, help="With --all: do not ask for confirmation."),
        option("--json", "as_json", is_flag=True, help="With --all: print one JSON object for each task."),
    )
    return with_options(run, options)


@dataclass(frozen=True, slots=True)
class ManyTasks:
    """What the options of `for_many` choose."""

    wanted: TaskFilter
    limit: int
    dry_run: bool
    yes: bool
    as_json: bool

    @classmethod
    def of(cls, task_id: str, options: Mapping[str, Any]) -> ManyTasks | None:
        """Return what the options choose; None if one task is meant.

        Raises:
            click.UsageError: both are meant, or neither.
        """
        many = cls(filter_of(options, int(time.time() * 1000)), *(options[name] for name in _OPTIONS))
        if task_id:
            if options["everything"] or many.wanted != TaskFilter() or many.dry_run or many.as_json:
                raise click.UsageError("--all, --dry-run, --json and filters are for many tasks: give no ID with them.")
            return None
        if not options["everything"]:
            raise click.UsageError("Give the ID of a task, or --all with filters such as --type; check with --dry-run.")
        return many

    def apply(self, action: TaskAction, operator: Operator) -> None:
        """Do something to them.

        Raises:
            NotAllDoneError: it could not be done to some.
            KallbackError: a server does not answer, or a setting must change.
        """
        settings = Settings.from_env()
        factories = operations_factories(settings)
        chosen = asyncio.run(self._choose(factories, settings))
        self._say_chosen(chosen, action)
        if self.dry_run or not chosen.tasks:
            return
        confirm(f"{action.verb.capitalize()} {counted(len(chosen.tasks), 'task')}?", yes=self.yes)
        sending = _TaskSender(factories, settings, operator, action, self)
        asyncio.run(sending.send(chosen.tasks))
        if sending.refused:
            raise NotAllDoneError(
                f"{counted(sending.refused, 'task')} of {len(chosen.tasks):,} not {action.done}, for the reasons above"
            )

    async def _choose(self, factories: OperationsFactories, settings: Settings) -> _Chosen:
        tasks, unreadable = list[PendingTask](), 0
        async with factories.introspection() as introspection:
            with activity("reading journals") as update:
                async with aclosing(PendingTasks(introspection, settings).each(self.wanted)) as pages:
                    async for page in pages:
                        tasks += page.tasks
                        unreadable += len(page.unreadable)
                        update(f"reading journals: {counted(len(tasks), 'task')}")
                        if len(tasks) > self.limit:
                            break
        return _Chosen(tasks[: self.limit], len(tasks) > self.limit, unreadable)

    def _say_chosen(self, chosen: _Chosen, action: TaskAction) -> None:
        if self.dry_run and self.as_json:
            for task in chosen.tasks:
                click.echo(printable_json(orjson.dumps(members_of(task))))
        elif self.dry_run:
            now_ms = int(time.time() * 1000)
            print_table(HEADINGS, [row_of(task, now_ms) for task in chosen.tasks])
        parts = [_summary(chosen.tasks, f" would be {action.done}" if self.dry_run else "")]
        if chosen.is_cut_off:
            parts.append("there are more (--limit)")
        if chosen.unreadable:
            unread = counted(chosen.unreadable, "invocation")
            parts.append(f"the tasks of {unread} are not among them: their journals cannot be read")
        click.echo(f"{'; '.join(parts)}.", err=True)


_OPTIONS: Final = ("limit", "dry_run", "yes", "as_json")


def _summary(tasks: Sequence[PendingTask], end: str) -> str:
    if not tasks:
        return "No pending tasks"
    types = Counter(task.task_type for task in tasks).most_common()
    named = ", ".join(f"{count:,} {plain(name)}" for name, count in types[:_NAMED])
    more = f" and {len(types) - _NAMED} more types" if len(types) > _NAMED else ""
    return f"{counted(len(tasks), 'pending task')}{end} ({named}{more})"


class _TaskSender:
    """Does something to tasks, some at a time, in their order, and says what became of each.

    Attributes:
        sent: to how many it was done: Kafka has it.
        refused: to how many it could not be done.
        ended: how many had ended, or were not chosen any more, when their turn came.
    """

    def __init__(
        self,
        factories: OperationsFactories,
        settings: Settings,
        operator: Operator,
        action: TaskAction,
        many: ManyTasks,
    ) -> None:
        self._factories: Final = factories
        self._settings: Final = settings
        self._operator: Final = operator
        self._action: Final = action
        self._many: Final = many
        self.sent = self.refused = self.ended = 0
        self._under_way = 0

    async def send(self, tasks: Sequence[PendingTask]) -> None:
        """Do it to all; an error that concerns all ends it. How far it came is said in any case."""
        try:
            with activity(self._action.doing) as update:
                async with (
                    self._factories.introspection() as introspection,
                    self._factories.producer() as producer,
                    aclosing(self._results(introspection, producer, tasks)) as results,
                ):
                    async for result in results:
                        self._say(result)
                        update(f"{self._action.doing}: {self.sent + self.refused + self.ended:,} of {len(tasks):,}")
        finally:
            click.echo(self._total(len(tasks)), err=True)

    async def _results(
        self, introspection: RowSource, producer: Producer, tasks: Sequence[PendingTask]
    ) -> AsyncGenerator[_TaskResult]:
        pending = PendingTasks(introspection, self._settings)
        by_hand = ByHand(producer, self._settings, self._operator)
        for first in range(0, len(tasks), _AT_ONCE):
            some = tasks[first : first + _AT_ONCE]
            current = {task.task_id: task for task in await pending.current(some, self._many.wanted)}
            ended = [task for task in some if task.task_id not in current]
            self.ended += len(ended)
            for task in ended:
                yield _TaskResult(task)
            # All of them come to their ends: then it is known which were sent.
            sending = (self._send_one(by_hand, current[each.task_id]) for each in some if each.task_id in current)
            found = await asyncio.gather(*sending, return_exceptions=True)
            for result in found:
                if isinstance(result, _TaskResult):
                    yield result
            for error in found:
                if isinstance(error, BaseException):
                    raise error

    async def _send_one(self, by_hand: ByHand, task: PendingTask) -> _TaskResult:
        """What concerns this task or its type alone is a result; what concerns all, such as Kafka, is raised."""
        try:
            self._action.check(task)
            headers = await answer_headers(self._factories.find, task, self._settings)
        except (*_OF_ONE_TASK, *_OF_ITS_TOPIC) as error:
            return self._refuse(task, error)
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
        return _TaskResult(task, at)

    def _refuse(self, task: PendingTask, error: KallbackError) -> _TaskResult:
        self.refused += 1
        return _TaskResult(task, error=str(error))

    def _say(self, result: _TaskResult) -> None:
        if self._many.as_json:
            members = {
                "task": result.task.task_id,
                "type": result.task.task_type,
                "sent": result.at is not None,
                "result": None if result.at is None else str(result.at),
                "error": result.error,
            }
            click.echo(printable_json(orjson.dumps(members)))
        elif result.error is not None:
            name = f"{result.task.task_id} {plain(result.task.task_type)}"
            click.echo(f"not {self._action.done}: {name}: {plain(result.error)}", err=True)

    def _total(self, count: int) -> str:
        parts = [f"{self._action.done.capitalize()} {self.sent:,} of {counted(count, 'task')}"]
        if self.ended:
            parts.append(f"{self.ended:,} had ended, or the filters did not choose them any more")
        if self._under_way:
            parts.append(f"{self._under_way:,} more may have arrived: see kallback tasks list")
        return f"{'; '.join(parts)}."
