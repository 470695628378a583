"""`kallback dead-letters replay`: plan, confirm, send, report.

The topic is read twice: first to find the selected letters and the ones that were already replayed (their replay
markers come later in the topic), then to send. Only rows are kept in between: the topic can be larger than the memory.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import click

from kallback.cli.dead_letters.factories import KafkaFactories, factories_for
from kallback.cli.dead_letters.listing import HEADINGS, Listing, Row, Selection, letters_of, read_listing
from kallback.cli.dead_letters.options import read_rate, selecting, selection_of
from kallback.cli.formatting import counted, plain
from kallback.cli.help import TextCommand, argument, option
from kallback.cli.tables import print_table
from kallback.kafka import DeadLetter, Replayer, ReplayOptions, ReplayReport
from kallback.protocol import ConfigurationError, KallbackError
from kallback.settings import Settings, Topics

_PROGRESS: Final = 100


class NotAllReplayedError(KallbackError):
    """Some dead letters could not be replayed."""


@click.command(cls=TextCommand)
@argument("ids", nargs=-1, metavar="[PARTITION:OFFSET]...", help="Ids of dead letters, as list shows them.")
@selecting
@option("--all", "everything", is_flag=True, help="Replay all dead letters. Required if there is no id and no filter.")
@option("--again", is_flag=True, help="Include dead letters that were already replayed.")
@option("--to", metavar="TOPIC", help="Send to this topic. Default: the source topic of each record.")
@option("--rate", callback=read_rate, metavar="N/s", help="Maximum rate, for example 50/s or 30/m. Default: no limit.")
@option("--dry-run", is_flag=True, help="Show what would be sent, without sending it.")
@option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
def replay(ids: tuple[str, ...], **options: Any) -> None:
    """Send dead letters again, byte for byte.

    Select them by id or with filters. Replay markers in the dead-letter topic record what was sent, so an interrupted
    replay continues with the same command.

    For example:

        kallback dead-letters replay --reason unknown-key --dry-run
    """
    settings = Settings.from_env()
    clients, topic, to = factories_for(settings.kafka), settings.topics.dead_letters, options["to"]
    selection = _selection(options, ids, settings.topics)
    found = asyncio.run(read_listing(clients, topic, selection))
    planned = _planned(found, selection, again=options["again"])[: options["limit"]]
    rows = planned if to else [row for row in planned if row.source.topic not in _never_sources(settings.topics)]
    if options["dry_run"]:
        print_table(HEADINGS, [row.line() for row in rows])
    if rows:
        click.echo(_plan(rows, to) + (" would be sent." if options["dry_run"] else "."), err=True)
    else:
        click.echo("Nothing to replay.")
    if rows and not options["dry_run"]:
        _confirm(yes=options["yes"])
        _send(clients, topic, rows, ReplayOptions(to=to, per_second=options["rate"]))
    if len(rows) < len(planned):
        raise NotAllReplayedError(_forged([row for row in planned if row not in rows]))


def _selection(options: dict[str, Any], ids: tuple[str, ...], topics: Topics) -> Selection:
    selection = selection_of(options, ids)
    if selection == Selection() and not (options["everything"] or options["limit"]):
        raise ConfigurationError(
            "no dead letters selected: give ids or filters (--reason, --type, --topic, --since, --until), or --all"
        )
    if options["to"] in _never_sources(topics):
        raise ConfigurationError(
            f"--to {options['to']}: no record is replayed to this topic; name a results topic or a task topic"
        )
    return selection


def _never_sources(topics: Topics) -> frozenset[str]:
    """Topics whose records kallback never dead-letters: what names one as its source is forged.

    A replay to the control topic would cancel tasks with the operator's permissions.
    """
    return frozenset({topics.progress, topics.control, topics.outcomes, topics.dead_letters})


def _forged(rows: list[Row]) -> str:
    first = rows[0]
    return (
        f"{counted(len(rows), 'dead letter')} not replayed (for example {first.id}): kallback never dead-letters "
        f"records of {first.source.topic}, so they are forged; check who may write to the dead-letter topic"
    )


def _send(clients: KafkaFactories, topic: str, rows: list[Row], options: ReplayOptions) -> None:
    report = asyncio.run(_replay(clients, topic, rows, options))
    if report.failed:
        raise NotAllReplayedError(_failures(report))


def _planned(found: Listing, selection: Selection, *, again: bool) -> list[Row]:
    """Leave out what was already replayed and say so; name the ids that were not found."""
    missing = selection.ids - {row.id for row in found.rows}
    if missing:
        names = ", ".join(map(str, sorted(missing)))
        click.echo(f"Not found, or excluded by the filters: {names}", err=True)
    rows = [row for row in found.rows if again or row.id not in found.replayed]
    if len(rows) < len(found.rows):
        click.echo(
            f"{counted(len(found.rows) - len(rows), 'dead letter')} already replayed; --again sends them once more.",
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
        raise ConfigurationError("not a terminal, nothing sent: check with --dry-run, then rerun with --yes")
    click.confirm("Replay them?", abort=True, err=True)


async def _replay(clients: KafkaFactories, topic: str, rows: list[Row], options: ReplayOptions) -> ReplayReport:
    """Send the letters; report what was sent, also after a failure."""
    await clients.check_topics({options.to or row.source.topic for row in rows})
    async with clients.producer() as producer:
        replayer = Replayer(producer, topic, find=clients.find, options=options)
        try:
            async with aclosing(letters_of(clients, topic, rows)) as letters:
                await replayer.replay(_counted(letters, len(rows)))
        finally:
            _report(replayer.report, rows)
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


def _report(report: ReplayReport, rows: list[Row]) -> None:
    sent, total = len(report.sent), len(rows)
    click.echo(f"Replayed {sent:,} of {counted(total, 'dead letter')}.")
    if report.unmarked:
        click.echo(f"{report.unmarked} of them have no replay marker: the next run sends them again.", err=True)
    if sent + len(report.failed) < total:
        click.echo("Run the same command again to continue with the rest.", err=True)


def _failures(report: ReplayReport) -> str:
    """One sentence per cause, with the first id as an example."""
    first = {why: letter for letter, why in reversed(report.failed.items())}
    counts = Counter(report.failed.values())
    causes = (f"{count} (for example {first[why]}): {plain(why)}" for why, count in counts.most_common())
    return f"{counted(len(report.failed), 'dead letter')} not replayed. " + "; ".join(causes)
