"""`kallback dead-letters replay`: plan, ask, send, say what was done.

The topic is read twice: once to know which letters are meant and which were replayed already (their notes may lie
anywhere behind them), once to send. Only ids are kept in between, so the topic may be larger than the memory.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import click

from kallback.cli.dead_letters.clients import Clients, clients_for
from kallback.cli.dead_letters.options import read_rate, selecting, selection_of
from kallback.cli.dead_letters.rows import Row, Selection, Survey, letters_of, survey
from kallback.cli.dead_letters.table import print_rows
from kallback.cli.formatting import counted, plain
from kallback.kafka import DeadLetter, Replayer, ReplayOptions, ReplayReport
from kallback.protocol import ConfigurationError, KallbackError
from kallback.settings import Settings

_PROGRESS: Final = 100


class NotAllReplayedError(KallbackError):
    """Some letters were passed over."""


@click.command()
@click.argument("ids", nargs=-1, metavar="[PARTITION:OFFSET]...")
@selecting
@click.option("--all", "everything", is_flag=True, help="All dead letters; needed where nothing else says which.")
@click.option("--again", is_flag=True, help="Those too that were replayed already.")
@click.option("--to", metavar="TOPIC", help="Send to this topic.  [default: where each came from]")
@click.option("--rate", callback=read_rate, metavar="N/s", help="So many a second at most.  [default: no limit]")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, send nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def replay(ids: tuple[str, ...], **options: Any) -> None:
    """Send dead letters again, byte for byte: key, value and headers as they were.

    Name them (PARTITION:OFFSET, as list shows them), or say which by --reason, --type, --topic and time. The topic
    notes what was replayed, so the same command started again goes on with the rest.

        kallback dead-letters replay --reason unknown-key --dry-run
    """
    settings = Settings.from_env()
    clients, topic = clients_for(settings.kafka), settings.topics.dead_letters
    selection = selection_of(options, ids)
    if selection == Selection() and not (options["everything"] or options["limit"]):
        raise ConfigurationError(
            "say which dead letters: name them, or use --reason, --type, --topic, --since; or --all"
        )
    found = asyncio.run(survey(clients, topic, selection))
    rows = _planned(found, selection, again=options["again"])[: options["limit"]]
    if not rows:
        click.echo("Nothing to replay.")
        return
    if options["dry_run"]:
        print_rows(rows)
    click.echo(_plan(rows, options["to"]) + (" would be sent." if options["dry_run"] else "."), err=True)
    if not options["dry_run"]:
        _confirm(yes=options["yes"])
        report = asyncio.run(_replay(clients, topic, rows, ReplayOptions(to=options["to"], per_second=options["rate"])))
        if report.failed:
            raise NotAllReplayedError(_failures(report))


def _planned(found: Survey, selection: Selection, *, again: bool) -> list[Row]:
    """Leave out what was replayed, and say so; name the ids that are not there."""
    missing = selection.ids - {row.id for row in found.rows}
    if missing:
        names = ", ".join(map(str, sorted(missing)))
        click.echo(f"Not there, or not matching the filters: {names}", err=True)
    rows = [row for row in found.rows if again or row.id not in found.replayed]
    if len(rows) < len(found.rows):
        click.echo(
            f"{counted(len(found.rows) - len(rows), 'letter')} replayed already; --again sends them once more.",
            err=True,
        )
    return rows


def _plan(rows: list[Row], to: str | None) -> str:
    reasons = ", ".join(f"{count:,} {plain(each)}" for each, count in Counter(row.reason for row in rows).most_common())
    targets = Counter(to or row.source.topic for row in rows)
    where = ", ".join(f"{count:,} to {plain(topic)}" for topic, count in targets.most_common())
    return f"{counted(len(rows), 'dead letter')} ({reasons}): {where}"


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody can be asked here, so nothing was sent: look with --dry-run, then add --yes")
    click.confirm("Replay them?", abort=True, err=True)


async def _replay(clients: Clients, topic: str, rows: list[Row], options: ReplayOptions) -> ReplayReport:
    """Send the letters; whatever happens, say what was sent."""
    await clients.check_topics({options.to or row.source.topic for row in rows})
    async with clients.producer() as producer:
        replayer = Replayer(producer, topic, find=clients.find, options=options)
        try:
            async with aclosing(letters_of(clients, topic, rows)) as letters:
                await replayer.replay(_counted(letters, len(rows)))
        finally:
            _tell(replayer.report, rows)
    return replayer.report


async def _counted(letters: AsyncIterator[DeadLetter], total: int) -> AsyncIterator[DeadLetter]:
    """Show progress on a terminal."""
    shown = sys.stderr.isatty() and total > _PROGRESS
    count = 0
    async for letter in letters:
        yield letter
        count += 1
        if shown and (count % _PROGRESS == 0 or count == total):
            click.echo(f"\r{count}/{total}", nl=count == total, err=True)


def _tell(report: ReplayReport, rows: list[Row]) -> None:
    sent, total = len(report.sent), len(rows)
    click.echo(f"Replayed {sent:,} of {counted(total, 'dead letter')}.")
    if report.unmarked:
        click.echo(f"{report.unmarked} of them could not be noted: the next run sends them again.", err=True)
    if sent + len(report.failed) < total:
        click.echo("The same command, started again, goes on with the rest.", err=True)


def _failures(report: ReplayReport) -> str:
    """One sentence per cause, with the first id as an example."""
    first = {why: letter for letter, why in reversed(report.failed.items())}
    counts = Counter(report.failed.values())
    causes = (f"{count} such as {first[why]}: {plain(why)}" for why, count in counts.most_common())
    return f"{counted(len(report.failed), 'dead letter')} not replayed. " + "; ".join(causes)
