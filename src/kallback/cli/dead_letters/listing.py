"""Prints dead letters while they are read: the memory that it takes does not depend on their number."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.dead_letters.contents import TopicContents, read_contents
from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.cli.dead_letters.rows import HEADINGS, Row, Selection, read_rows, replay_words
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.tables import RowPrinter


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What is listed, and how.

    Attributes:
        limit: the reading ends after this number of rows.
        with_replayed: include what was already replayed.
        as_json: one JSON object on each line.
    """

    selection: Selection
    limit: int | None = None
    with_replayed: bool = False
    as_json: bool = False


@dataclass(slots=True)
class _Printed:
    """What has been printed, and what was left out because it was already replayed."""

    printer: RowPrinter
    rows: int = 0
    replayed: int = 0


async def print_list(clients: KafkaFactories, topic: str, options: ListOptions) -> str:
    """Print the dead letters to stdout; return what the topic contains, in one sentence."""
    with activity(f"reading {topic}"):
        contents = await read_contents(clients, topic, options.selection.since_ms)
    printed = _Printed(printer=RowPrinter((*HEADINGS, "REPLAYED") if options.with_replayed else HEADINGS))
    async with aclosing(read_rows(clients, topic, options.selection)) as batches:
        async for rows in batches:
            _print(rows, contents, options, printed)
            if printed.rows == options.limit:
                break
    return _summary(contents, options, printed)


def _print(rows: list[Row], contents: TopicContents, options: ListOptions, printed: _Printed) -> None:
    """Print a batch, up to the limit."""
    replays = {row.id: contents.replayed.find(row.id) for row in rows}
    wanted = [row for row in rows if options.with_replayed or replays[row.id] is None]
    shown = wanted if options.limit is None else wanted[: options.limit - printed.rows]
    printed.rows += len(shown)
    printed.replayed += len(rows) - len(wanted)
    if options.as_json:
        if shown:
            click.echo("\n".join(printable_json(orjson.dumps(row.members(replays[row.id]))) for row in shown))
        return
    for row in shown:
        replayed = (replay_words(replays[row.id]),) if options.with_replayed else ()
        printed.printer.add((*row.line(), *replayed))
    printed.printer.flush()


def _summary(contents: TopicContents, options: ListOptions, printed: _Printed) -> str:
    """Return what the topic contains; the caller prints it to stderr, so that stdout has rows only."""
    total = contents.reasons.total()
    if not total:
        return "No dead letters."
    by_reason = ", ".join(f"{count:,} {plain(reason)}" for reason, count in contents.reasons.listed())
    parts = [f"{printed.rows:,} of {counted(total, 'dead letter')}; all by reason: {by_reason}"]
    if printed.rows == options.limit:
        parts.append(f"--limit {options.limit} reached")
    if printed.replayed:
        parts.append(f"{printed.replayed:,} more already replayed (--replayed shows them)")
    if contents.unknown:
        parts.append(f"{counted(contents.unknown, 'record')} not written by kallback")
    return "; ".join(parts) + "."
