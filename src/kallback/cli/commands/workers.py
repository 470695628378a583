"""`kallback workers list`: who reads the topics of tasks, and how far they are behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import click
import orjson

from kallback import kafka
from kallback.cli.activity import activity
from kallback.cli.formatting import counted, plain, printable_json, within
from kallback.cli.help import TextCommand, TextGroup, argument, option
from kallback.cli.imports import is_module_here, needs_extra
from kallback.cli.logs import configure_logs
from kallback.cli.names import topic_named
from kallback.cli.tables import print_table
from kallback.kafka import TopicGroup
from kallback.operations.readers import HIDDEN_GROUPS, TopicReaders, readers_of, task_topics
from kallback.protocol import AccessDeniedError, ConfigurationError, MissingTopicError
from kallback.settings import KafkaSettings, Settings

_HEADINGS: Final = ("TOPIC", "GROUP", "HOST", "CLIENT", "INSTANCE", "PARTITIONS", "BEHIND")
_NO_TOPICS: Final = ": there is no topic of tasks, or this user has no DESCRIBE on any"
_LONGEST_CELL: Final = 120
_PROCESS_HEADINGS: Final = ("PROCESS", "HEALTH PORT", "READY", "PHASE", "WHY NOT", "FIGURES")


@dataclass(frozen=True, slots=True)
class _Kafka:
    """What is asked of Kafka; a test puts another one into click's context object."""

    topics: Any = field(default=kafka.list_topics)
    groups: Any = field(default=kafka.groups_of)
    sees_groups: Any = field(default=kafka.sees_groups)


@click.group(cls=TextGroup)
def workers() -> None:
    """Show who reads the topics of tasks.

    Settings: KALLBACK_KAFKA_* and KALLBACK_TOPICS_*.
    """
    configure_logs()


@workers.command("list", cls=TextCommand)
@argument(
    "types",
    nargs=-1,
    metavar="[TYPE]...",
    help="Name of a task type's topic, or the type in Python (MODULE:NAME). None: all topics of tasks.",
)
@option(
    "--process",
    "processes",
    multiple=True,
    metavar="[NAME=]URL",
    help="Health port of a worker, such as http://127.0.0.1:9464, which is asked how it is; NAME is shown beside it. "
    "Can be repeated.",
)
@option("--json", "as_json", is_flag=True, help="Print one JSON object for each row, also of the processes.")
def list_workers(types: tuple[str, ...], *, processes: tuple[str, ...], as_json: bool) -> None:
    """List the members of the groups that read topics of tasks.

    Each with its partitions and how far it is behind.

    Kafka tells, so workers in any language are among them. Rows without a host are partitions that no member reads.
    Without a type, all topics are looked at but kallback's own: name the types where other applications use this Kafka.
    Needs DESCRIBE on topics and groups.

    Exit codes: 0, also if nothing reads a topic; 1 if Kafka does not answer; 2 if no member is seen and this user may
    not see all groups, if a topic does not exist or a setting
    must change.

    For example:

        kallback workers list restaurant.prepare
        kallback workers list --process http://127.0.0.1:9464
    """
    settings = Settings.from_env()
    named = [topic_named(each) for each in types]
    asked = click.get_current_context().find_object(_Kafka) or _Kafka()
    try:
        found = asyncio.run(_read(asked, settings, named))
    except MissingTopicError:
        if (module := next(filter(is_module_here, types), None)) is None:
            raise
        raise ConfigurationError(
            f"{module} is a Python module, and no topic has this name: name a task type in it, MODULE:NAME: "
            f"kallback workers list {module}:NAME"
        ) from None
    members = {row.member.id for row in found if row.member is not None}
    hidden = not members and not asyncio.run(asked.sees_groups(settings.kafka))
    if as_json:
        for row in found:
            click.echo(printable_json(orjson.dumps(_members(row))))
    else:
        print_table(_HEADINGS, [_line(row) for row in found])
    if processes:
        _print_processes(processes, as_json=as_json)
    if hidden:
        raise AccessDeniedError(HIDDEN_GROUPS)
    unread = {row.topic for row in found} - {row.topic for row in found if row.member is not None}
    missing = f"; nothing reads {', '.join(map(plain, sorted(unread)))}" if unread else "" if found else _NO_TOPICS
    click.echo(f"{counted(len(members), 'member') if members else 'No members'}{missing}.", err=True)


async def _read(asked: _Kafka, settings: Settings, named: Sequence[str]) -> list[TopicReaders]:
    with activity("asking Kafka which groups read"):
        topics = list(dict.fromkeys(named)) or await _task_topics(asked, settings)
        groups: list[TopicGroup] = await asked.groups(settings.kafka, topics) if topics else []
    return [row for topic in topics for row in readers_of(topic, groups)]


async def _task_topics(asked: _Kafka, settings: Settings) -> list[str]:
    connection: KafkaSettings = settings.kafka
    return task_topics(await asked.topics(connection), settings.topics)


def _print_processes(addresses: Sequence[str], *, as_json: bool) -> None:
    with needs_extra("console"):
        from kallback.cli.console.processes import read_process  # noqa: PLC0415 - it needs another extra

    async def read() -> list[Any]:
        return await asyncio.gather(*map(read_process, addresses))

    found = asyncio.run(read())
    if as_json:
        for status in found:
            members = {
                "process": status.address,
                "name": status.name or None,
                "ready": status.ready,
                "phase": status.phase,
            }
            more = {"reasons": status.reasons, "figures": dict(status.members)}
            click.echo(printable_json(orjson.dumps(members | more)))
        return
    rows = [
        (
            status.name or "-",
            status.address,
            "ready" if status.ready else "not ready",
            status.phase or "-",
            "; ".join(status.reasons) or "-",
            ", ".join(f"{name} {value}" for name, value in status.members.items()) or "-",
        )
        for status in found
    ]
    print_table(_PROCESS_HEADINGS, [tuple(map(plain, row)) for row in rows])


def _members(row: TopicReaders) -> dict[str, Any]:
    member = row.member
    return {
        "topic": row.topic,
        "group": row.group,
        "member": None if member is None else member.id,
        "host": None if member is None else member.host,
        "client": None if member is None else member.client,
        "instance": None if member is None else member.instance,
        "partitions": row.partitions,
        "behind": row.lag,
    }


def _line(row: TopicReaders) -> tuple[str, ...]:
    member = row.member
    who = ("-", "-", "-") if member is None else (member.host, member.client, member.instance or "-")
    names = (within(plain(name), _LONGEST_CELL) for name in (row.group or "-", *who))
    return (row.topic, *names, _ranges(row.partitions), f"{row.lag:,}")


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers that follow each other, as people write them: 0-3,7."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda each: each[1] - each[0])]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs) or "-"
