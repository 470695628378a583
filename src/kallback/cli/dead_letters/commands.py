"""`kallback dead-letters list | show | replay`: inspect dead letters, and send them again when the cause is removed."""

import asyncio
import time
from pathlib import Path
from typing import Any

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.dead_letters.contents import Replay, read_contents
from kallback.cli.dead_letters.detail import members_of, print_letter
from kallback.cli.dead_letters.factories import KafkaFactories, factories_for
from kallback.cli.dead_letters.listing import ListOptions, print_list
from kallback.cli.dead_letters.options import read_id, selecting, selection_of
from kallback.cli.dead_letters.replay import replay
from kallback.cli.formatting import printable_json
from kallback.cli.help import TextCommand, TextGroup, argument, option
from kallback.cli.logs import configure_logs
from kallback.kafka import DeadLetter, DeadLetterId, MissingValue, Position, ReplayMarker, read_entry, recover
from kallback.operations.replay_checks import ReplayRules
from kallback.protocol import ConfigurationError, KallbackError
from kallback.settings import Settings


class NoSuchLetterError(KallbackError):
    """There is no dead letter with this id."""

    has_entry = True


@click.group("dead-letters", cls=TextGroup)
def dead_letters() -> None:
    """List, inspect and replay dead letters.

    A record that can never succeed is written to the dead-letter topic, byte for byte, with the reason.
    docs/dead-letters.md lists the reasons and what to do.

    Settings: KALLBACK_KAFKA_* and KALLBACK_TOPICS_*.
    """
    configure_logs()


dead_letters.add_command(replay)


@dead_letters.command("list", cls=TextCommand)
@selecting
@option("--replayed", is_flag=True, help="Include dead letters that were already replayed.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object per line; times in epoch milliseconds.")
def list_letters(*, replayed: bool, as_json: bool, limit: int | None, **options: Any) -> None:
    """List dead letters while they are read.

    Those of one partition come in the order in which they were written; the partitions are interleaved.

    For example:

        kallback dead-letters list --reason unknown-key --since 2h
    """
    settings = Settings.from_env()
    clients = factories_for(settings.kafka)
    wanted = ListOptions(selection_of(options), limit, with_replayed=replayed, as_json=as_json)
    click.echo(asyncio.run(print_list(clients, settings.topics.dead_letters, wanted)), err=True)


@dead_letters.command(cls=TextCommand)
@argument("letter_id", metavar="PARTITION:OFFSET", help="Id of the dead letter, as list shows it.")
@option(
    "--raw-value",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the bytes of the value to this file. They may contain a token.",
)
@option("--json", "as_json", is_flag=True, help="Print one JSON object; times in epoch milliseconds.")
def show(letter_id: str, *, raw_value: Path | None, as_json: bool) -> None:
    """Show one dead letter, what its reason means and what to do.

    Tokens are shortened: neither the awakeable id nor the signature is shown.

    For example:

        kallback dead-letters show 1:126
    """
    settings = Settings.from_env()
    clients = factories_for(settings.kafka)
    letter, whole, replay_ = asyncio.run(_look_up(clients, settings.topics.dead_letters, read_id(letter_id)))
    rules = ReplayRules.of(settings)
    if as_json:
        click.echo(printable_json(orjson.dumps(members_of(letter, whole, rules, replay=replay_))))
    else:
        print_letter(letter, whole, rules, replay=replay_, now_ms=int(time.time() * 1000))
    if raw_value is not None:
        _write(raw_value, whole)


async def _look_up(
    clients: KafkaFactories, topic: str, wanted: DeadLetterId
) -> tuple[DeadLetter, DeadLetter | MissingValue, Replay | None]:
    record = await clients.find(Position(topic, wanted.partition, wanted.offset))
    if record is None:
        raise NoSuchLetterError(
            f"there is no dead letter {wanted} in {topic}: it never existed, or the topic's retention removed it"
        )
    letter = read_entry(record)
    if not isinstance(letter, DeadLetter):
        raise NoSuchLetterError(f"{wanted} in {topic} is not a dead letter but {_kind(letter)}")
    with activity(f"reading {topic}"):
        found = await read_contents(clients, topic, letter.written_ms)
    return letter, await recover(letter, clients.find), found.replayed.find(wanted)


def _kind(entry: object) -> str:
    return "a replay marker" if isinstance(entry, ReplayMarker) else "a record that kallback did not write"


def _write(file: Path, whole: DeadLetter | MissingValue) -> None:
    if isinstance(whole, MissingValue):
        raise NoSuchLetterError(f"the value cannot be written: {whole.why}")
    try:
        file.write_bytes(whole.value or b"")
    except OSError as error:
        raise ConfigurationError(f"cannot write {file} ({error.strerror}): choose another file") from None
    click.echo(f"{len(whole.value or b'')} bytes written to {file}", err=True)
