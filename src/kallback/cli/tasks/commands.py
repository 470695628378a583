"""`kallback tasks list`, and the group of its sisters: what handlers wait for, from Restate's journals."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.endless import until_interrupted
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.help import TextCommand, TextGroup, option
from kallback.cli.logs import configure_logs
from kallback.cli.tables import print_table
from kallback.cli.tasks.answers import cancel, complete, fail, retry
from kallback.cli.tasks.factories import OperationsFactories, operations_factories
from kallback.cli.tasks.filters import filter_of, filtering
from kallback.cli.tasks.link import link
from kallback.cli.tasks.progress import progress
from kallback.cli.tasks.rows import HEADINGS, members_of, row_of
from kallback.cli.tasks.show import show
from kallback.operations import PendingTasks, TaskFilter, TaskPage
from kallback.protocol import RestateUnavailableError
from kallback.settings import Settings

_WATCH_S: Final = 2.0


@click.group(cls=TextGroup)
def tasks() -> None:
    """List pending tasks, and complete, fail, retry or cancel them by hand.

    A task is pending while a handler waits for it. Tasks are read from Restate's introspection
    (KALLBACK_RESTATE_ADMIN_URL) and from Kafka; docs/operations.md explains the columns.

    Settings: KALLBACK_RESTATE_*, KALLBACK_KAFKA_*, KALLBACK_TOPICS_* and KALLBACK_AUDIENCE of the environment.
    """
    configure_logs()


for _command in (show, progress, complete, fail, retry, cancel, link):
    tasks.add_command(_command)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What is listed, and how."""

    limit: int
    as_json: bool
    options: dict[str, Any]

    def wanted(self, now_ms: int) -> TaskFilter:
        """The filter, at this time."""
        return filter_of(self.options, now_ms)


@tasks.command("list", cls=TextCommand)
@filtering
@option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), metavar="N", help="Maximum number.")
@option("--watch", is_flag=True, help="Print the list again every 2 seconds, until Ctrl-C; also after an outage.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per line; times in epoch milliseconds.")
def list_tasks(*, limit: int, watch: bool, as_json: bool, **options: Any) -> None:
    """List pending tasks, those of the oldest invocations first.

    Exit codes: 0, also if there are none, and at Ctrl-C; 1 if a server does not answer, 2 if a setting must change.

    For example:

        kallback tasks list --type restaurant.prepare --older-than 15m
    """
    settings = Settings.from_env()
    listing = _Listing(limit, as_json, options)
    with until_interrupted(endless=watch):
        asyncio.run(_list(operations_factories(settings), settings, listing, watch=watch))


async def _list(factories: OperationsFactories, settings: Settings, listing: _Listing, *, watch: bool) -> None:
    async with factories.introspection() as introspection:
        pending, is_listed = PendingTasks(introspection, settings), False
        while True:
            now_ms = int(time.time() * 1000)
            try:
                with activity("reading journals"):
                    wanted = listing.wanted(now_ms)
                    page = await pending.page(wanted, limit=listing.limit)
            except RestateUnavailableError as error:
                if not is_listed:
                    raise
                click.echo(f"{plain(str(error))}. Trying again.", err=True)
                await asyncio.sleep(_WATCH_S)
                continue
            is_listed = watch
            if watch and not listing.as_json and sys.stdout.isatty():
                click.clear()
            _print_page(page, wanted, now_ms, as_json=listing.as_json)
            if not watch:
                return
            await asyncio.sleep(_WATCH_S)


def _print_page(page: TaskPage, wanted: TaskFilter, now_ms: int, *, as_json: bool) -> None:
    if as_json:
        for task in page.tasks:
            click.echo(printable_json(orjson.dumps(members_of(task))))
    else:
        print_table(HEADINGS, [row_of(task, now_ms) for task in page.tasks])
    click.echo(_summary(page, wanted), err=True)


def _summary(page: TaskPage, wanted: TaskFilter) -> str:
    none = "No pending tasks" if wanted == TaskFilter() else "No pending tasks that match"
    parts = [counted(len(page.tasks), "pending task") if page.tasks else none]
    if page.cursor is not None:
        parts.append("there are more (--limit)")
    if page.unreadable:
        parts.append(
            f"the tasks of {counted(len(page.unreadable), 'invocation')} cannot be read: their journals are encoded (a "
            "journal value codec), or too large"
        )
    handlers = len({each.invocation.id for each in page.untaken})
    if handlers:
        verb = "has" if handlers == 1 else "have"
        parts.append(f"{counted(handlers, 'handler')} {verb} a result and {verb} not gone on yet (kallback doctor)")
    return "; ".join(parts) + "."
