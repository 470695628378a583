"""`kallback topics create`: topics are made on purpose, never by auto-creation, which can lose the first record."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Final

import click

from kallback.kafka import Created, Differs, TopicFinding, TopicSpec, create_topics
from kallback.kafka.topics import TopicLayout
from kallback.settings import Settings

_DEFAULTS: Final = TopicLayout()
_SPAN: Final = re.compile(r"(\d+)\s*([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_span(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    """Read a length of time such as 90s, 30m, 36h or 14d."""
    shape = _SPAN.fullmatch(value.strip())
    if shape is None:
        raise click.BadParameter(f"{value!r} is no length of time: write 90s, 30m, 36h or 14d", ctx, param)
    return timedelta(**{_UNITS[shape[2]]: int(shape[1])})


@click.group()
def topics() -> None:
    """Create the topics that kallback needs."""


@topics.command()
@click.argument("task_topics", nargs=-1, metavar="[TASK_TOPIC]...")
@click.option("--partitions", default=_DEFAULTS.partitions, show_default=True, type=click.IntRange(1))
@click.option("--replication", default=_DEFAULTS.replication, show_default="the cluster's", type=click.IntRange(-1))
@click.option(
    "--longest-timeout",
    default=f"{_DEFAULTS.longest_timeout.days}d",
    show_default=True,
    callback=read_span,
    help="The longest time-out of any task type; records are kept a day longer.",
)
@click.option(
    "--max-result-bytes",
    default=_DEFAULTS.max_result_bytes,
    show_default=True,
    type=click.IntRange(1024),
    help="Largest result record; dead letters get room for their headers on top.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be created, ask no broker.")
def create(
    task_topics: tuple[str, ...],
    *,
    partitions: int,
    replication: int,
    longest_timeout: timedelta,
    max_result_bytes: int,
    dry_run: bool,
) -> None:
    """Create kallback's own topics, and TASK_TOPICs: the topics of your task types, by default their names.

    Topics that exist are left as they are; where one differs from what is wanted, the difference is shown.

        kallback topics create restaurant.prepare
    """
    layout = TopicLayout(
        partitions=partitions,
        replication=replication,
        longest_timeout=longest_timeout,
        max_result_bytes=max_result_bytes,
    )
    settings = Settings.from_env()
    specs = layout.specs(settings.topics, task_topics)
    if dry_run:
        for spec in specs:
            click.echo(_wanted(spec))
        return
    for finding in _create(settings, specs):
        click.echo(_found(finding))


def _create(settings: Settings, specs: list[TopicSpec]) -> list[TopicFinding]:
    return asyncio.run(create_topics(settings.kafka, specs))


def _wanted(spec: TopicSpec) -> str:
    config = " ".join(f"{name}={value}" for name, value in spec.config.items())
    return f"would create {spec.name} partitions={spec.partitions} {config}"


def _found(finding: TopicFinding) -> str:
    match finding:
        case Created(name):
            return f"created {name}"
        case Differs(name, differences):
            return f"exists  {name}, differs and was left as it is: {'; '.join(differences)}"
        case _:
            return f"exists  {finding.name}"
