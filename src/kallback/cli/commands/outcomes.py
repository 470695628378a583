"""`kallback outcomes tail | list`: what became of result records, as bridges with --outcomes write it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import click

from kallback.cli.activity import activity
from kallback.cli.endless import until_interrupted
from kallback.cli.formatting import counted, moment, plain, printable_json
from kallback.cli.help import TextCommand, TextGroup, option, option_of, with_options
from kallback.cli.logs import configure_logs
from kallback.cli.names import read_task_ids
from kallback.cli.tables import RowPrinter
from kallback.cli.tasks.factories import operations_factories
from kallback.cli.times import read_moment
from kallback.kafka import TopicReader
from kallback.operations import follow_outcomes
from kallback.operations.outcomes import Newest
from kallback.protocol import Outcome, OutcomeRecord
from kallback.protocol.by_hand import Deed
from kallback.settings import Settings

_HEADINGS: Final = ("TIME", "OUTCOME", "RESULT", "REASON", "TYPE", "TASK", "ATTEMPT", "BY HAND", "WHY")
_OUTCOMES: Final = ", ".join(each.value for each in Outcome)
_RESULTS: Final = ", ".join(each.value for each in Deed)
_NONE: Final = "No outcomes: bridges write them when they run with --outcomes."
_NONE_OF_TASK: Final = (
    "No outcomes of it since --since: a task that ends without a result has none, such as one that timed out or was "
    "cancelled; its handler's invocation in Restate tells how it ended. Bridges write outcomes when they run with "
    "--outcomes."
)
_SETS: Final = ("tasks", "types", "outcomes", "results", "failures", "names")
_DEFAULT: Final = 100
_MOST: Final = 100_000
Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_select = option_of("Filters")


def _filtering(since: str) -> Callable[[Decorated], Decorated]:
    """Add the filters, which both commands have; `_Wanted.of` reads what they give."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        _select(
            "--task",
            "tasks",
            multiple=True,
            metavar="ID",
            callback=read_task_ids,
            help="Only this task. Can be repeated.",
        ),
        _select("--type", "types", multiple=True, metavar="TYPE", help="Only this task type. Can be repeated."),
        _select(
            "--outcome",
            "outcomes",
            multiple=True,
            type=click.Choice([each.value for each in Outcome]),
            metavar="OUTCOME",
            help=f"Only this outcome: {_OUTCOMES}. Can be repeated.",
        ),
        _select(
            "--result",
            "results",
            multiple=True,
            type=click.Choice([each.value for each in Deed]),
            metavar="RESULT",
            help=f"Only results that do this: {_RESULTS}. Can be repeated.",
        ),
        _select(
            "--failure",
            "failures",
            multiple=True,
            metavar="TYPE",
            help="Only failures of this type, such as OutOfStock. Can be repeated.",
        ),
        _select("--by-hand", is_flag=True, help="Only results that were sent by hand."),
        _select(
            "--by", "names", multiple=True, metavar="NAME", help="Only results by hand of this name. Can be repeated."
        ),
        _select(
            "--since",
            default=since,
            show_default=True,
            callback=read_moment,
            metavar="TIME",
            help="Only outcomes written at or after this time: 2h (ago), or 2026-01-31T12:00 (UTC).",
        ),
    )

    return lambda run: with_options(run, options)


@click.group(cls=TextGroup)
def outcomes() -> None:
    """Show what became of results.

    Bridges that run with --outcomes write one record for each result, or for each summary of dead letters.

    Settings: KALLBACK_KAFKA_* and KALLBACK_TOPICS_*.
    """
    configure_logs()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which outcomes are shown."""

    tasks: frozenset[str]
    types: frozenset[str]
    outcomes: frozenset[str]
    results: frozenset[str]
    failures: frozenset[str]
    names: frozenset[str]
    by_hand: bool

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Those that the options name."""
        sets: dict[str, Any] = {name: frozenset(options[name]) for name in _SETS}
        return cls(**sets, by_hand=options["by_hand"])

    def accepts(self, outcome: OutcomeRecord) -> bool:
        """Whether an outcome is shown."""
        return (
            (not self.tasks or outcome.task_id in self.tasks)
            and (not self.types or outcome.task_type in self.types)
            and (not self.outcomes or outcome.outcome in self.outcomes)
            and (not self.results or outcome.did in self.results)
            and (not self.failures or outcome.failure in self.failures)
            and (not self.names or outcome.by in self.names)
            and (not self.by_hand or outcome.by is not None)
        )


@outcomes.command(cls=TextCommand)
@_filtering("1h")
@option("--follow", "-f", is_flag=True, help="Wait for more, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per line, as it is in the topic.")
def tail(*, since: int | None, follow: bool, as_json: bool, **options: Any) -> None:
    """Show outcomes in the order in which they are read.

    Those of one task come in order, those of several need not. RESULT says what a delivered result does, of a worker or
    by hand, and the type of a failure; the name in BY HAND and WHY are what its sender said.

    Exit codes: 0, also if there are none, and at Ctrl-C; 1 if Kafka does not answer, 2 if the topic does not exist or a
    setting must change.

    For example:

        kallback outcomes tail --since 10m --outcome late --outcome unverified --follow
    """
    settings = Settings.from_env()
    reader = operations_factories(settings).reader(settings.topics.outcomes, since)
    with until_interrupted(endless=follow):
        read, shown = asyncio.run(
            _tail(reader, settings.topics.outcomes, _Wanted.of(options), follow=follow, as_json=as_json)
        )
        click.echo(f"{counted(shown, 'outcome')}." if shown else _none(options, read), err=True)


@outcomes.command("list", cls=TextCommand)
@_filtering("1d")
@option(
    "--limit", default=_DEFAULT, show_default=True, type=click.IntRange(1, _MOST), metavar="N", help="Maximum number."
)
@option("--json", "as_json", is_flag=True, help="Print one JSON object per line, as it is in the topic.")
def list_outcomes(*, since: int | None, limit: int, as_json: bool, **options: Any) -> None:
    """List outcomes, the newest first: the history of finished tasks.

    Reads the outcomes topic from --since on, and keeps the newest that the filters choose. The topic's retention says
    how far the history goes back. The columns are those of `kallback outcomes tail`.

    Exit codes: those of `kallback outcomes tail`.

    For example:

        kallback outcomes list --type restaurant.prepare --result failed --since 7d
        kallback outcomes list --by ann --since 30d --json
    """
    settings = Settings.from_env()
    topic = settings.topics.outcomes
    newest = Newest(limit)
    reader = operations_factories(settings).reader(topic, since)
    read = asyncio.run(_collect(reader, topic, _Wanted.of(options), newest))
    with RowPrinter(_HEADINGS) as printer:
        _print(newest.outcomes(), printer, as_json=as_json)
    more = f"; {newest.left_out:,} older left out (--limit)" if newest.left_out else ""
    click.echo(f"{counted(len(newest), 'outcome')}{more}." if len(newest) else _none(options, read), err=True)


def _none(options: Mapping[str, Any], read: int) -> str:
    """What to say where no outcome is shown; `read` is how many there were since the time that was asked for."""
    if options["tasks"]:
        return _NONE_OF_TASK
    return f"The filters choose none of {counted(read, 'outcome')} since --since." if read else _NONE


async def _tail(reader: TopicReader, topic: str, wanted: _Wanted, *, follow: bool, as_json: bool) -> tuple[int, int]:
    """Print outcomes; return how many were read and how many printed."""
    read, count, printer = 0, 0, RowPrinter(_HEADINGS)
    with activity(f"reading {topic}", beside_output=True) as update:
        async with aclosing(follow_outcomes(reader, to_the_end=not follow)) as batches:
            async for batch in batches:
                shown = [outcome for outcome in batch if wanted.accepts(outcome)]
                _print(shown, printer, as_json=as_json)
                read, count = read + len(batch), count + len(shown)
                update(f"reading {topic}: {counted(count, 'outcome')} shown")
    return read, count


async def _collect(reader: TopicReader, topic: str, wanted: _Wanted, newest: Newest) -> int:
    """Keep the newest outcomes; return how many were read."""
    count = 0
    with activity(f"reading {topic}") as update:
        async with aclosing(follow_outcomes(reader, to_the_end=True)) as batches:
            async for batch in batches:
                for outcome in batch:
                    if wanted.accepts(outcome):
                        newest.add(outcome)
                count += len(batch)
                update(f"reading {topic}: {counted(count, 'outcome')} read")
    return count


def _print(shown: Sequence[OutcomeRecord], printer: RowPrinter, *, as_json: bool) -> None:
    for outcome in shown:
        if as_json:
            click.echo(printable_json(outcome.encode()))
        else:
            printer.add(_row(outcome))
    printer.flush()


def _row(outcome: OutcomeRecord) -> tuple[str, ...]:
    texts = (outcome.result, outcome.reason, outcome.task_type, outcome.task_id)
    attempt = "" if outcome.attempt is None else str(outcome.attempt)
    operator = (outcome.deed, outcome.why)
    return (
        moment(outcome.at_ms),
        outcome.outcome.value,
        *(plain(text or "-") for text in texts),
        attempt or "-",
        *(plain(text or "-") for text in operator),
    )
