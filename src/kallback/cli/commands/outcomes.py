"""`kallback outcomes tail`: what became of result records, as bridges with --outcomes write it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import click

from kallback.cli.activity import activity
from kallback.cli.formatting import counted, moment, plain, printable_json
from kallback.cli.help import TextCommand, TextGroup, option, option_of
from kallback.cli.logs import configure_logs
from kallback.cli.tables import RowPrinter
from kallback.cli.tasks.factories import OperationsFactories, operations_factories
from kallback.cli.times import read_moment
from kallback.operations import follow_outcomes
from kallback.protocol import Outcome, OutcomeRecord
from kallback.protocol.by_hand import Deed
from kallback.settings import Settings

_HEADINGS: Final = ("TIME", "OUTCOME", "RESULT", "REASON", "TYPE", "TASK", "ATTEMPT", "BY HAND", "WHY")
_OUTCOMES: Final = ", ".join(each.value for each in Outcome)
_RESULTS: Final = ", ".join(each.value for each in Deed)
_select = option_of("Filters")


@click.group(cls=TextGroup)
def outcomes() -> None:
    """Show what became of results.

    Bridges that run with --outcomes write one record for each result, or for each summary of dead letters.

    Settings: KALLBACK_KAFKA_* and KALLBACK_TOPICS_*.
    """
    configure_logs()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which outcomes are shown, and how."""

    tasks: frozenset[str]
    types: frozenset[str]
    outcomes: frozenset[str]
    results: frozenset[str]
    by_hand: bool
    follow: bool
    as_json: bool

    def accepts(self, outcome: OutcomeRecord) -> bool:
        """Whether an outcome is shown."""
        return (
            (not self.tasks or outcome.task_id in self.tasks)
            and (not self.types or outcome.task_type in self.types)
            and (not self.outcomes or outcome.outcome in self.outcomes)
            and (not self.results or outcome.did in self.results)
            and (not self.by_hand or outcome.by is not None)
        )


@outcomes.command(cls=TextCommand)
@_select("--task", "tasks", multiple=True, metavar="ID", help="Only this task. Can be repeated.")
@_select("--type", "types", multiple=True, metavar="TYPE", help="Only this task type. Can be repeated.")
@_select(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice([each.value for each in Outcome]),
    metavar="OUTCOME",
    help=f"Only this outcome: {_OUTCOMES}. Can be repeated.",
)
@_select(
    "--result",
    "results",
    multiple=True,
    type=click.Choice([each.value for each in Deed]),
    metavar="RESULT",
    help=f"Only results that do this: {_RESULTS}. Can be repeated.",
)
@_select("--by-hand", is_flag=True, help="Only results that were sent by hand.")
@_select(
    "--since",
    default="1h",
    show_default=True,
    callback=read_moment,
    metavar="TIME",
    help="Only outcomes written at or after this time: 2h (ago), or 2026-01-31T12:00 (UTC).",
)
@option("--follow", "-f", is_flag=True, help="Wait for more, until Ctrl-C.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per line, as it is in the topic.")
def tail(*, since: int | None, **options: Any) -> None:
    """Show outcomes in the order in which they are read.

    Those of one task come in order, those of several need not. RESULT says what a delivered result does, of a worker or
    by hand; the name in BY HAND and WHY are what its sender said.

    Exit codes: 0, also if there are none; 1 if Kafka does not answer, 2 if the topic does not exist or a setting must
    change.

    For example:

        kallback outcomes tail --since 10m --outcome late --outcome unverified --follow
    """
    settings = Settings.from_env()
    sets: dict[str, Any] = {name: frozenset(options[name]) for name in ("tasks", "types", "outcomes", "results")}
    wanted = _Wanted(**{**options, **sets})
    count = asyncio.run(_tail(operations_factories(settings), settings.topics.outcomes, since, wanted))
    none = "No outcomes: bridges write them when they run with --outcomes."
    click.echo(f"{counted(count, 'outcome')}." if count else none, err=True)


async def _tail(factories: OperationsFactories, topic: str, since_ms: int | None, wanted: _Wanted) -> int:
    count, printer = 0, RowPrinter(_HEADINGS)
    reading = follow_outcomes(factories.reader(topic, since_ms), to_the_end=not wanted.follow)
    with activity(f"reading {topic}", beside_output=True) as update:
        async with aclosing(reading) as batches:
            async for batch in batches:
                shown = [outcome for outcome in batch if wanted.accepts(outcome)]
                _print(shown, printer, as_json=wanted.as_json)
                count += len(shown)
                update(f"reading {topic}: {counted(count, 'outcome')} shown")
    return count


def _print(shown: list[OutcomeRecord], printer: RowPrinter, *, as_json: bool) -> None:
    for outcome in shown:
        if as_json:
            click.echo(printable_json(outcome.encode()))
        else:
            printer.add(_row(outcome))
    printer.flush()


def _row(outcome: OutcomeRecord) -> tuple[str, ...]:
    texts = (outcome.did, outcome.reason, outcome.task_type, outcome.task_id)
    attempt = "" if outcome.attempt is None else str(outcome.attempt)
    operator = (outcome.deed, outcome.why)
    return (
        moment(outcome.at_ms),
        outcome.outcome.value,
        *(plain(text or "-") for text in texts),
        attempt or "-",
        *(plain(text or "-") for text in operator),
    )
