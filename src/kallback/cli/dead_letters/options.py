"""The options that select dead letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from kallback.cli.dead_letters.rows import Selection
from kallback.cli.help import option_of, with_options
from kallback.cli.times import read_moment
from kallback.kafka import DeadLetterId

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SECONDS: Final = {"s": 1, "m": 60}
_RATE: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(?:/([sm]))?", re.ASCII)


def read_rate(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read `50`, `50/s` or `30/m` as a number for each second."""
    if value is None:
        return None
    shape = _RATE.fullmatch(value.strip())
    if shape is None or float(shape[1]) == 0:
        raise click.BadParameter(f"{value!r} is not a rate: write 50/s or 30/m", ctx, param)
    return float(shape[1]) / _SECONDS[shape[2] or "s"]


def read_id(text: str) -> DeadLetterId:
    """Read `PARTITION:OFFSET`.

    Raises:
        click.BadParameter: it is something else.
    """
    found = DeadLetterId.parse(text)
    if found is None:
        raise click.BadParameter(
            f"{text!r} is not the id of a dead letter: write PARTITION:OFFSET, as `kallback dead-letters list` shows it"
        )
    return found


def selecting(command: Decorated) -> Decorated:
    """Add the options that `selection_of` reads."""
    select = option_of("Filters")
    options = (
        select("--reason", "reasons", multiple=True, metavar="REASON", help="Only this reason. Can be repeated."),
        select(
            "--type",
            "types",
            multiple=True,
            metavar="TYPE",
            help="Only this task type, as the record claims it. Can be repeated.",
        ),
        select(
            "--topic", "topics", multiple=True, metavar="TOPIC", help="Only records from this topic. Can be repeated."
        ),
        select(
            "--since",
            callback=read_moment,
            metavar="TIME",
            help="Only dead letters written at or after this time: 2h (ago), or 2026-01-31T12:00 (UTC).",
        ),
        select("--until", callback=read_moment, metavar="TIME", help="Only dead letters written before this time."),
        select(
            "--limit",
            type=click.IntRange(1),
            metavar="N",
            help="Maximum number of dead letters: list ends after them, replay takes the oldest.",
        ),
    )
    return with_options(command, options)


def selection_of(options: dict[str, Any], ids: tuple[str, ...] = ()) -> Selection:
    """Return the selection that the options describe."""
    return Selection(
        ids=frozenset(map(read_id, ids)),
        reasons=frozenset(options["reasons"]),
        types=frozenset(options["types"]),
        topics=frozenset(options["topics"]),
        since_ms=options["since"],
        until_ms=options["until"],
    )
