"""What is done to many pending tasks on the command line: to all that the filters choose.

First all are listed, then their count is confirmed, then it is done to each by itself (`bulk.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.confirmation import confirm
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.help import option, with_options
from kallback.cli.tables import print_table
from kallback.cli.tasks.actions import TaskAction
from kallback.cli.tasks.bulk import DEFAULT_LIMIT, ChosenTasks, TaskResult, TaskSender, choose_tasks
from kallback.cli.tasks.factories import OperationsFactories, operations_factories
from kallback.cli.tasks.filters import filter_of, filtering
from kallback.cli.tasks.rows import HEADINGS, members_of, row_of
from kallback.operations import ByHand, PendingTask, PendingTasks, TaskFilter
from kallback.protocol import KallbackError
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings

_MOST: Final = 100_000

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class NotAllDoneError(KallbackError):
    """It could not be done to some tasks; the lines before say which, and why."""

    has_entry = True


def for_many(run: Decorated) -> Decorated:
    """Add the options with which something is done to many tasks; `ManyTasks` reads what they give."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        option("--all", "everything", is_flag=True, help="Do it to all pending tasks that the filters choose."),
        filtering,
        option(
            "--limit",
            default=DEFAULT_LIMIT,
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
        refused = asyncio.run(self._send(factories, settings, operator, action, chosen.tasks))
        if refused:
            raise NotAllDoneError(
                f"{counted(refused, 'task')} of {len(chosen.tasks):,} not {action.done}, for the reasons above"
            )

    async def _choose(self, factories: OperationsFactories, settings: Settings) -> ChosenTasks:
        async with factories.introspection() as introspection:
            with activity("reading journals") as update:
                return await choose_tasks(
                    PendingTasks(introspection, settings),
                    self.wanted,
                    self.limit,
                    lambda count: update(f"reading journals: {counted(count, 'task')}"),
                )

    def _say_chosen(self, chosen: ChosenTasks, action: TaskAction) -> None:
        if self.dry_run and self.as_json:
            for task in chosen.tasks:
                click.echo(printable_json(orjson.dumps(members_of(task))))
        elif self.dry_run:
            now_ms = int(time.time() * 1000)
            print_table(HEADINGS, [row_of(task, now_ms) for task in chosen.tasks])
        click.echo(chosen.sentence(f" would be {action.done}" if self.dry_run else ""), err=True)

    async def _send(
        self,
        factories: OperationsFactories,
        settings: Settings,
        operator: Operator,
        action: TaskAction,
        tasks: Sequence[PendingTask],
    ) -> int:
        """Do it to all; an error that concerns all ends it. How far it came is said in any case.

        Returns:
            To how many it could not be done.
        """
        sender = TaskSender(factories.find_many, settings, action, self.wanted)
        try:
            with activity(action.doing) as update:
                async with factories.introspection() as introspection, factories.producer() as producer:
                    pending, by_hand = PendingTasks(introspection, settings), ByHand(producer, settings, operator)
                    async with aclosing(sender.results(pending, by_hand, tasks)) as results:
                        async for result in results:
                            self._say(result, action)
                            update(f"{action.doing}: {sender.done:,} of {len(tasks):,}")
        finally:
            click.echo(sender.total(len(tasks)), err=True)
        return sender.refused

    def _say(self, result: TaskResult, action: TaskAction) -> None:
        if self.as_json:
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
            click.echo(f"not {action.done}: {name}: {plain(result.error)}", err=True)


_OPTIONS: Final = ("limit", "dry_run", "yes", "as_json")
