"""`kallback wire check`: plays the requester against a worker in any language."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import click
import orjson

from kallback.cli.activity import activity
from kallback.cli.commands.wire_worker import cancel_on_termination, checked_worker
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.help import TextCommand, TextGroup, argument, is_coloured, option, option_of
from kallback.cli.logs import configure_logs
from kallback.kafka import Client, clients_of
from kallback.protocol import Convention, Conventions, DecodeError, TaskType, check_json
from kallback.protocol.frameworks.conventions import read_convention
from kallback.settings import Settings
from kallback.wire_check import (
    NAMES,
    PAGES,
    CheckedProcess,
    CheckedTopics,
    CheckRequests,
    CheckResult,
    CheckVerdict,
    WireCheckOptions,
    WireCheckRunner,
    open_connections,
    own_topics,
    prepare_topics,
)

_COLOURS: Final = {CheckVerdict.PASS: "green", CheckVerdict.FAIL: "red", CheckVerdict.NOT_COVERED: "yellow"}
_WIDTH: Final = max(map(len, NAMES))
_VERDICT_WIDTH: Final = max(map(len, CheckVerdict))
EXIT_FAILED: Final = 1
EXIT_TERMINATED: Final = 128 + signal.SIGTERM

_requests = option_of("Requests")
_topics = option_of("Topics")
_worker = option_of("Worker")


@click.group(cls=TextGroup)
def wire() -> None:
    """Check workers in any language against the rules of the wire."""


def _read_json(ctx: click.Context, param: click.Parameter, value: str | None) -> bytes | None:
    return None if value is None else _json(value, ctx, param)


def _read_all(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(_json(each, ctx, param) for each in values)


def _json(text: str, ctx: click.Context, param: click.Parameter) -> bytes:
    try:
        check_json(text.encode())
    except DecodeError as error:
        raise click.BadParameter(f"{text[:40]!r} is {error}", ctx, param) from None
    return text.encode()


def _read_convention(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Convention, Conventions]:
    return (Convention.KALLBACK, Conventions()) if value is None else read_convention(value)


@wire.command(cls=TextCommand)
@argument("topic", help="Topic that the worker reads.")
@_requests(
    "--request",
    "good",
    multiple=True,
    default=["{}"],
    show_default=True,
    callback=_read_all,
    metavar="JSON",
    help="A request that the worker completes. Can be repeated; give one with characters beyond ASCII, too.",
)
@_requests("--failing-request", "failing", callback=_read_json, metavar="JSON", help="A request that the worker fails.")
@_requests(
    "--long-request",
    "long",
    callback=_read_json,
    metavar="JSON",
    help="A request that takes more than three seconds.",
)
@_requests(
    "--no-heartbeats",
    is_flag=True,
    help="The task type has no heartbeats: do not ask for any.",
)
@_requests("--type", "task_type", metavar="NAME", help="Name of the task type. Default: that of the topic.")
@_topics("--results", metavar="TOPIC", help="Reply topic of the tasks. Default: one of the check's own.")
@_topics("--progress", metavar="TOPIC", help="Topic for progress. Default: one of the check's own.")
@_worker(
    "--command",
    metavar="COMMAND",
    help="Starts the worker. The check then kills and stops it, too; otherwise it must run already.",
)
@option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time for an answer.",
)
@_worker(
    "--convention",
    callback=_read_convention,
    metavar="CONVENTION[:NAME,...]",
    help="The worker's framework, whose headers tasks then have, such as faststream; with the error headers or event "
    "types that the bridge is told: spring:x-error.",
)
@_worker(
    "--restart-grace",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time more after a start: longer than the session timeout of the worker's consumer group.",
)
@option(
    "--only",
    multiple=True,
    type=click.Choice(NAMES),
    metavar="CHECK",
    help="Only this check. Can be repeated. Their names are in the report.",
)
@option("--json", "as_json", is_flag=True, help="Print one JSON object per check.")
def check(
    topic: str,
    *,
    results: str | None,
    progress: str | None,
    command: str | None,
    timeout: float,
    restart_grace: float,
    only: Sequence[str],
    as_json: bool,
    **requests: Any,
) -> None:
    """Send tasks to a worker, and say which rules of the wire it keeps.

    Plays the requester: reads the answers, and prints a line for each rule: pass, fail, or not covered, and why.
    The worker does the tasks: use a test environment. docs/wire-check.md explains the checks.

    Tasks are signed with a key that is made for the run. Their reply topic is {prefix}wire-check.TOPIC.results, which
    is created if it does not exist, so the check runs beside bridges. A worker that answers to certain topics only must
    allow it.

    Settings: KALLBACK_KAFKA_* and KALLBACK_TOPICS_*.

    Exit codes: 0 if nothing failed, 1 if a check failed or Kafka does not answer, 2 if a setting or an argument must
    change.

    For example:

        kallback wire check restaurant.prepare --request '{"id": "o-1"}' --failing-request '{}'
    """
    configure_logs()
    settings = Settings.from_env()
    task_type = TaskType(requests.pop("task_type") or topic, request=object, result=object, topic=topic).name
    own_results, own_progress = own_topics(settings.topics.wire_check, topic)
    topics = CheckedTopics(
        tasks=topic,
        results=results or own_results,
        progress=progress or own_progress,
        control=settings.topics.control,
    )
    made = [name for given, name in ((results, topics.results), (progress, topics.progress)) if given is None]
    (convention, conventions), heartbeats = requests.pop("convention"), not requests.pop("no_heartbeats")
    options = WireCheckOptions(
        requests=CheckRequests(**requests),
        topics=topics,
        task_type=task_type,
        timeout=timeout,
        restart_grace=restart_grace,
        heartbeats=heartbeats,
        only=frozenset(only),
        convention=convention,
        conventions=conventions,
    )
    with checked_worker(command) as process:
        try:
            found = asyncio.run(_check(settings, options, made, process))
        except asyncio.CancelledError:
            sys.exit(EXIT_TERMINATED)
        _report(found, as_json=as_json)


def _report(found: Sequence[tuple[str, CheckResult]], *, as_json: bool) -> None:
    """Print the verdicts; exit with a code if a check failed."""
    if as_json:
        _print_json(found)
    else:
        _print_lines(found)
    _summarize(found)
    if any(result.verdict is CheckVerdict.FAIL for _, result in found):
        sys.exit(EXIT_FAILED)


async def _check(
    settings: Settings, options: WireCheckOptions, made: list[str], process: CheckedProcess | None
) -> list[tuple[str, CheckResult]]:
    cancel_on_termination()
    own = own_topics(settings.topics.wire_check, options.topics.tasks)
    topics = await prepare_topics(settings.kafka, options.topics, made, own)
    clients = clients_of(Client.CONFLUENT, settings.kafka)
    async with open_connections(clients, settings.kafka, topics, process) as connections:
        with activity("connecting") as update:
            runner = WireCheckRunner(options.with_topics(topics), connections)
            return await runner.run(update)


def _print_json(found: Sequence[tuple[str, CheckResult]]) -> None:
    for name, result in found:
        sentence = plain(result.sentence)
        members = {"check": name, "verdict": result.verdict.value, "sentence": sentence, "rule": PAGES[name]}
        click.echo(printable_json(orjson.dumps(members)))


def _print_lines(found: Sequence[tuple[str, CheckResult]]) -> None:
    """Print a line for each check, but one for several that are not covered for the same reason."""
    for result, group in groupby(found, key=itemgetter(1)):
        names = [name for name, _ in group]
        verdict = f"{result.verdict.value:<{_VERDICT_WIDTH}}"
        shown = click.style(verdict, fg=_COLOURS[result.verdict]) if is_coloured() else verdict
        together = len(names) > 1 and result.verdict is CheckVerdict.NOT_COVERED
        for name in [counted(len(names), "check")] if together else names:
            click.echo(f"{shown}  {name:<{_WIDTH}}  {plain(result.sentence)}")
        if result.verdict is CheckVerdict.FAIL:
            click.echo(f"{'':<{_VERDICT_WIDTH}}  {'':<{_WIDTH}}  → {PAGES[names[0]]}")


def _summarize(found: Sequence[tuple[str, CheckResult]]) -> None:
    counts = Counter(result.verdict for _, result in found)
    said = (
        f"{counts[CheckVerdict.PASS]} passed",
        f"{counts[CheckVerdict.FAIL]} failed",
        f"{counts[CheckVerdict.NOT_COVERED]} not covered",
    )
    click.echo(f"{', '.join(said)}.", err=True)
