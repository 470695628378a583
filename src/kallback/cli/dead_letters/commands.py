"""`kallback dead-letters list | show | replay`: look at records that died; send them again when the cause is gone."""

import asyncio
import time
from pathlib import Path
from typing import Any

import click
import orjson

from kallback.cli.dead_letters.clients import Clients, clients_for
from kallback.cli.dead_letters.detail import view
from kallback.cli.dead_letters.options import read_id, selecting, selection_of
from kallback.cli.dead_letters.replay import replay
from kallback.cli.dead_letters.rows import Selection, Survey, survey
from kallback.cli.dead_letters.table import print_rows
from kallback.cli.formatting import counted, plain
from kallback.cli.logs import configure_logs
from kallback.kafka import DeadLetter, DeadLetterId, MissingValue, Position, ReplayMarker, read_entry, recover
from kallback.protocol import KallbackError
from kallback.settings import Settings


class NoSuchLetterError(KallbackError):
    """No dead letter lies there."""


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and replay records that died.

    A record that can never succeed goes to the dead-letter topic, byte for byte, with the reason; docs/dead-letters.md
    lists the reasons and what to do. Settings: KALLBACK_KAFKA_* and KALLBACK_TOPICS_*.
    """
    configure_logs()


dead_letters.add_command(replay)


@dead_letters.command("list")
@selecting
@click.option("--replayed", is_flag=True, help="Show those too that were replayed already.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; times in epoch milliseconds.")
def list_letters(*, replayed: bool, as_json: bool, limit: int | None, **options: Any) -> None:
    """Show one line for each dead letter, the oldest first.

    kallback dead-letters list --reason unknown-key --since 2h
    """
    settings = Settings.from_env()
    found = asyncio.run(survey(clients_for(settings.kafka), settings.topics.dead_letters, selection_of(options)))
    rows = [row for row in found.rows if replayed or row.id not in found.replayed]
    shown = rows[:limit]
    if as_json:
        for row in shown:
            click.echo(orjson.dumps(row.members(found.replayed.get(row.id))))
    else:
        print_rows(shown)
    click.echo(_summary(found, len(rows), len(shown), replayed=replayed), err=True)


def _summary(found: Survey, matching: int, shown: int, *, replayed: bool) -> str:
    """What lies there, in one sentence or two; goes to stderr, so that stdout is rows only."""
    total = found.reasons.total()
    if not total:
        return "No dead letters."
    by_reason = ", ".join(f"{count:,} {plain(reason)}" for reason, count in found.reasons.most_common())
    hidden = 0 if replayed else sum(row.id in found.replayed for row in found.rows)
    parts = [f"{matching:,} of {counted(total, 'dead letter')} ({by_reason})"]
    if shown < matching:
        parts.append(f"{shown:,} shown")
    if hidden:
        parts.append(f"{hidden:,} more replayed already (--replayed shows them)")
    if found.foreign:
        parts.append(f"{counted(found.foreign, 'record')} of another kind")
    return "; ".join(parts) + "."


@dead_letters.command()
@click.argument("letter_id", metavar="PARTITION:OFFSET")
@click.option(
    "--raw-value",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the value's bytes to a file. They may hold a token.",
)
def show(letter_id: str, *, raw_value: Path | None) -> None:
    """Show one dead letter, what its reason means and what can be done.

    Tokens are shortened: neither the awakeable id nor the tag is shown.
    """
    settings = Settings.from_env()
    clients = clients_for(settings.kafka)
    letter, whole, replayed_ms = asyncio.run(_look(clients, settings.topics.dead_letters, read_id(letter_id)))
    for line in view(letter, whole, replayed_ms=replayed_ms, now_ms=int(time.time() * 1000)):
        click.echo(line)
    if raw_value is not None:
        _write(raw_value, whole)


async def _look(
    clients: Clients, topic: str, wanted: DeadLetterId
) -> tuple[DeadLetter, DeadLetter | MissingValue, int | None]:
    record = await clients.find(Position(topic, wanted.partition, wanted.offset))
    if record is None:
        raise NoSuchLetterError(f"nothing lies at {wanted} of {topic}: it never did, or its retention is over")
    letter = read_entry(record)
    if not isinstance(letter, DeadLetter):
        raise NoSuchLetterError(f"{wanted} of {topic} is no dead letter, but {_kind(letter)}")
    found = await survey(clients, topic, Selection(ids=frozenset({wanted}), since_ms=letter.at_ms))
    return letter, await recover(letter, clients.find), found.replayed.get(wanted)


def _kind(entry: object) -> str:
    return "a note of a replay" if isinstance(entry, ReplayMarker) else "a record that kallback did not write"


def _write(file: Path, whole: DeadLetter | MissingValue) -> None:
    if isinstance(whole, MissingValue):
        raise NoSuchLetterError(f"there is no value to write: {whole.why}")
    file.write_bytes(whole.value or b"")
    click.echo(f"{len(whole.value or b'')} bytes written to {file}", err=True)
