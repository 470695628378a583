"""`kallback tasks cancel`: one task by its id, or all that the filters choose.

Of many tasks, first all are listed, then the count is confirmed, then each is cancelled by itself: one that cannot be
cancelled is told and changes nothing for the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.by_hand_options import by_option, operator_of, why_option
from kallback.cli.confirmation import confirm
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.help import TextCommand, argument, option
from kallback.cli.tables import print_table
from kallback.cli.tasks.answers import publish
from kallback.cli.tasks.factories import OperationsFactories, operations_factories
from kallback.cli.tasks.filters import filter_of, filtering
from kallback.cli.tasks.rows import HEADINGS, members_of, row_of
from kallback.kafka import Position
from kallback.operations import (
    ByHand,
    NoKeyError,
    NotAnswerableError,
    NoTaskRecordError,
    PendingTask,
    PendingTasks,
    TaskFilter,
    answer_headers,
)
from kallback.protocol import KallbackError, TaskHeaders
from kallback.protocol.by_hand import Operator
from kallback.settings import Settings

_AT_ONCE: Final = 32
"""Tasks whose records are looked up at the same time: each takes a connection to Kafka."""
_MOST: Final = 100_000
_DEFAULT: Final = 10_000
_NAMED: Final = 5


class NotAllCancelledError(KallbackError):
    """Some tasks could not be cancelled; the lines before say which, and why."""

    has_entry = True


class _Chosen(NamedTuple):
    """Tasks to cancel.

    Attributes:
        is_cut_off: there are more.
        unreadable: invocations whose journals cannot be read.
    """

    tasks: list[PendingTask]
    is_cut_off: bool
    unreadable: int


class _CancelResult(NamedTuple):
    """What became of one: where its result is, or why nothing was sent."""

    task: PendingTask
    at: Position | None
    error: str | None


@click.command(cls=TextCommand)
@argument("task_id", metavar="[ID]", required=False, default="", help="Task id: 16 characters. None: with --all.")
@option("--all", "everything", is_flag=True, help="Cancel all pending tasks that the filters choose.")
@filtering
@option(
    "--limit",
    default=_DEFAULT,
    show_default=True,
    type=click.IntRange(1, _MOST),
    metavar="N",
    help="Maximum number of tasks, those of the oldest invocations.",
)
@option("--dry-run", is_flag=True, help="List the tasks that would be cancelled, and send nothing.")
@by_option
@why_option
@option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@option("--json", "as_json", is_flag=True, help="With --all: print one JSON object for each task.")
def cancel(task_id: str, *, everything: bool, by: str | None, why: str, **options: Any) -> None:
    """Cancel a pending task, or many: the worker stops, the handler fails.

    The error has type urn:kallback:cancelled-by-hand and status 410, and is not retried. Needs KALLBACK_KEYS, which
    prove the cancel to workers. An awakeable has no worker to tell; its handler fails.

    With --all, the tasks are listed first, and their number is to be confirmed. Each task that cannot be cancelled is
    named with the reason, and the others are cancelled nevertheless.

    Exit codes: 0 if Kafka has all cancels, 1 if not, 2 if a setting or an argument must change.

    For example:

        kallback tasks cancel q8Tzl0b2R6m1cV9x --why "the customer left"
        kallback tasks cancel --all --type restaurant.prepare --older-than 2h --dry-run
    """
    wanted, operator = filter_of(options, int(time.time() * 1000)), operator_of(by, why)
    if task_id:
        if everything or wanted != TaskFilter() or options["dry_run"] or options["as_json"]:
            raise click.UsageError("--all, --dry-run, --json and filters are for many tasks: give no ID with them.")
        publish(task_id, operator, _cancel)
        return
    if not everything:
        raise click.UsageError("Give the ID of a task, or --all with filters such as --type; check with --dry-run.")
    settings = Settings.from_env()
    factories = operations_factories(settings)
    chosen = asyncio.run(_choose(factories, settings, wanted, options["limit"]))
    _say_chosen(chosen, dry_run=options["dry_run"], as_json=options["as_json"])
    if options["dry_run"] or not chosen.tasks:
        return
    confirm(f"Cancel {counted(len(chosen.tasks), 'task')}?", yes=options["yes"])
    failed = asyncio.run(_cancel_all(factories, settings, operator, chosen.tasks, as_json=options["as_json"]))
    if failed:
        raise NotAllCancelledError(
            f"{counted(failed, 'task')} of {len(chosen.tasks):,} not cancelled, for the reasons above: those that back "
            "off can be cancelled when their next attempt is sent"
        )


async def _choose(factories: OperationsFactories, settings: Settings, wanted: TaskFilter, limit: int) -> _Chosen:
    tasks, unreadable = list[PendingTask](), 0
    async with factories.introspection() as introspection:
        with activity("reading journals") as update:
            async with aclosing(PendingTasks(introspection, settings).each(wanted)) as pages:
                async for page in pages:
                    tasks += page.tasks
                    unreadable += len(page.unreadable)
                    update(f"reading journals: {counted(len(tasks), 'task')}")
                    if len(tasks) > limit:
                        break
    return _Chosen(tasks[:limit], len(tasks) > limit, unreadable)


def _say_chosen(chosen: _Chosen, *, dry_run: bool, as_json: bool) -> None:
    if dry_run and as_json:
        for task in chosen.tasks:
            click.echo(printable_json(orjson.dumps(members_of(task))))
    elif dry_run:
        now_ms = int(time.time() * 1000)
        print_table(HEADINGS, [row_of(task, now_ms) for task in chosen.tasks])
    parts = [_summary(chosen.tasks, " would be cancelled" if dry_run else "")]
    if chosen.is_cut_off:
        parts.append("there are more (--limit)")
    if chosen.unreadable:
        unread = counted(chosen.unreadable, "invocation")
        parts.append(f"the tasks of {unread} are not among them: their journals cannot be read")
    click.echo(f"{'; '.join(parts)}.", err=True)


def _summary(tasks: Sequence[PendingTask], end: str) -> str:
    if not tasks:
        return "No pending tasks"
    types = Counter(task.task_type for task in tasks).most_common()
    named = ", ".join(f"{count:,} {plain(name)}" for name, count in types[:_NAMED])
    more = f" and {len(types) - _NAMED} more types" if len(types) > _NAMED else ""
    return f"{counted(len(tasks), 'pending task')}{end} ({named}{more})"


async def _cancel_all(
    factories: OperationsFactories,
    settings: Settings,
    operator: Operator,
    tasks: Sequence[PendingTask],
    *,
    as_json: bool,
) -> int:
    """Cancel tasks and say what became of them; how many were not cancelled."""
    done = failed = 0
    try:
        with activity("cancelling") as update:
            async with aclosing(_cancelled(factories, settings, operator, tasks)) as results:
                async for result in results:
                    done, failed = done + (result.error is None), failed + (result.error is not None)
                    _say_cancelled(result, as_json=as_json)
                    update(f"cancelling: {done + failed:,} of {len(tasks):,}")
    finally:
        click.echo(f"Cancelled {done:,} of {counted(len(tasks), 'task')}.", err=True)
    return failed


async def _cancelled(
    factories: OperationsFactories, settings: Settings, operator: Operator, tasks: Sequence[PendingTask]
) -> AsyncGenerator[_CancelResult]:
    """Cancel tasks, some at a time, in their order."""
    async with factories.producer() as producer:
        by_hand = ByHand(producer, settings, operator)
        for first in range(0, len(tasks), _AT_ONCE):
            some = tasks[first : first + _AT_ONCE]
            for result in await asyncio.gather(*(_cancel_one(factories, settings, by_hand, task) for task in some)):
                yield result


async def _cancel_one(
    factories: OperationsFactories, settings: Settings, by_hand: ByHand, task: PendingTask
) -> _CancelResult:
    """What concerns this task alone is a result; what concerns all, such as a Kafka that is away, is raised."""
    try:
        headers = await answer_headers(factories.find, task, settings)
        return _CancelResult(task, await _cancel(by_hand, task, headers), None)
    except (NotAnswerableError, NoTaskRecordError, NoKeyError) as error:
        return _CancelResult(task, None, str(error))


def _say_cancelled(result: _CancelResult, *, as_json: bool) -> None:
    if as_json:
        members = {
            "task": result.task.task_id,
            "type": result.task.task_type,
            "cancelled": result.error is None,
            "result": None if result.at is None else str(result.at),
            "error": result.error,
        }
        click.echo(printable_json(orjson.dumps(members)))
    elif result.error is not None:
        click.echo(
            f"not cancelled: {result.task.task_id} {plain(result.task.task_type)}: {plain(result.error)}", err=True
        )


async def _cancel(by_hand: ByHand, task: PendingTask, headers: TaskHeaders) -> Position:
    return await by_hand.cancel(headers, has_worker=task.signal is None)
