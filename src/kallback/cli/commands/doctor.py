"""`kallback doctor`: says why tasks do not end, with a remedy for each finding."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import click
import orjson

from kallback import kafka
from kallback.cli.activity import activity
from kallback.cli.formatting import plain, printable_json, redact
from kallback.cli.help import TextCommand, argument, is_coloured, option
from kallback.cli.imports import is_module_here, needs_extra
from kallback.cli.insecure import insecure_option, settings_from_env
from kallback.cli.logs import configure_logs
from kallback.cli.names import topic_named
from kallback.cli.tasks.factories import operations_factories
from kallback.operations import Introspection
from kallback.operations.doctor import Examination, Finding, Severity, Sources, service_check, withdraw
from kallback.operations.doctor.permissions import groups_of, seen_topics
from kallback.settings import Settings

_COLOURS: Final = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.PROBLEM: "red", Severity.FOLLOWS: "cyan"}
EXIT_PROBLEM: Final = 1


@click.command(cls=TextCommand)
@argument(
    "target",
    metavar="[TYPE|TASK]",
    required=False,
    default="",
    help="Name of a task type, of its topic, or in Python (MODULE:NAME); or the id of a task.",
)
@option(
    "--process",
    "processes",
    multiple=True,
    metavar="[NAME=]URL",
    help="Health port of a worker or a bridge, such as http://127.0.0.1:9464, which is asked how it is, "
    "so that a worker that drains is seen. Can be repeated.",
)
@option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
@insecure_option
def doctor(target: str, *, processes: tuple[str, ...], as_json: bool, insecure: bool) -> None:
    """Say why tasks do not end.

    Looks at Restate, the services of this environment, topics, bridges, handlers that fail, and the workers of pending
    tasks and their dead letters; with a type at those of this type alone, with a task also at its record and its
    invocation. It changes nothing.

    A type whose topic has another name is known by its pending tasks; if there are none, give the name of the topic, or
    the type as MODULE:NAME.

    Settings: those of a bridge; with KALLBACK_KEYS the services are asked whether they have the same keys.

    Exit codes: 0 if no problem was found (warnings do not count), 1 if there is one, 2 if a setting must change.

    For example:

        kallback doctor restaurant.prepare
        kallback doctor shared:prepare
        kallback doctor q8Tzl0b2R6m1cV9x --process http://127.0.0.1:9464
    """
    configure_logs()
    settings = settings_from_env(insecure=insecure)
    found = asyncio.run(_examine(settings, topic_named(target) if target else "", as_json=as_json))
    if processes:
        for finding in _of_processes(processes):
            _print(finding, as_json=as_json)
            found.add(finding.severity)
    if Severity.PROBLEM in found:
        sys.exit(EXIT_PROBLEM)


async def _examine(settings: Settings, target: str, *, as_json: bool) -> set[Severity]:
    factories, found = operations_factories(settings), set[Severity]()
    async with factories.introspection() as introspection:
        restate = introspection if isinstance(introspection, Introspection) else None
        sources = Sources(
            introspection,
            topics=lambda: seen_topics(settings),
            groups=lambda topic: groups_of(settings, topic),
            find=factories.find,
            reader=factories.reader,
            services=service_check(settings),
            withdraw=None if restate is None else partial(withdraw, restate),
            deployments=None if restate is None else restate.deployments,
            transactions=lambda topics: kafka.open_transactions(settings.kafka, topics),
        )
        with activity("looking", beside_output=True):
            examination = Examination(sources, settings)
            async with aclosing(examination.run(target, is_module=is_module_here(target))) as findings:
                async for finding in findings:
                    _print(finding, as_json=as_json)
                    found.add(finding.severity)
    return found


def _of_processes(addresses: Sequence[str]) -> list[Finding]:
    """What processes say on their health ports. One that is not ready is a warning: it may be about to end."""
    with needs_extra("console"):
        from kallback.cli.console.processes import read_process  # noqa: PLC0415 - it needs another extra

    async def read() -> list[Any]:
        return await asyncio.gather(*map(read_process, addresses))

    return [
        Finding("processes", Severity.OK, f"{status.name or status.address} is ready")
        if status.ready
        else Finding(
            "processes", Severity.WARNING, f"{status.name or status.address} is not ready: {'; '.join(status.reasons)}"
        )
        for status in asyncio.run(read())
    ]


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        members = {
            "subject": finding.subject,
            "severity": finding.severity.value,
            "sentence": redact(finding.sentence),
            "remedy": redact(finding.remedy) or None,
        }
        click.echo(printable_json(orjson.dumps(members)))
        return
    severity = f"{finding.severity.value:<7}"
    shown = click.style(severity, fg=_COLOURS[finding.severity]) if is_coloured() else severity
    click.echo(f"{shown}  {finding.subject:<12}  {plain(finding.sentence)}")
    if finding.remedy:
        click.echo(f"{'':<7}  {'':<12}  → {plain(finding.remedy)}")
