"""`kallback topics`: topics are created explicitly; auto-creation can lose the first record."""

from __future__ import annotations

import asyncio
import functools
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import click
import orjson

from kallback.cli.contracts.task_types import worker_task_types
from kallback.cli.formatting import counted, plain
from kallback.cli.help import TextCommand, TextGroup, argument, option
from kallback.cli.names import checked_topic
from kallback.cli.tables import print_table
from kallback.kafka import Created, Differs, Existed, Missing, TopicFinding, TopicSpec, compare_topics, create_topics
from kallback.kafka.topics import TopicLayout
from kallback.protocol import AccessDeniedError, KafkaUnavailableError, KallbackError
from kallback.protocol.errors import MissingExtraError
from kallback.settings import Settings

_DEFAULTS: Final = TopicLayout()
_SPAN: Final = re.compile(r"(\d+)\s*([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class TopicsDifferError(KallbackError):
    """A topic is missing, or not as wanted."""

    has_entry = True


def read_span(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    """Read a duration such as 90s, 30m, 36h or 14d."""
    shape = _SPAN.fullmatch(value.strip())
    if shape is None:
        raise click.BadParameter(f"{value!r} is not a duration: write 90s, 30m, 36h or 14d", ctx, param)
    return timedelta(**{_UNITS[shape[2]]: int(shape[1])})


def _topic_names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what Kafka would refuse, before a plan is shown."""
    del ctx, param
    for name in value:
        hint = f"; for the topics of the task types of a module: --types {plain(name)}" if ":" in name else ""
        checked_topic(name, hint)
    return value


@click.group(cls=TextGroup)
def topics() -> None:
    """Create and check Kafka topics.

    Settings: KALLBACK_KAFKA_* and KALLBACK_TOPICS_*.
    """


def _layout_options(run: Callable[..., None]) -> Callable[..., None]:
    """Add the argument and the options that say which topics are wanted; the command gets `specs` and `settings`."""

    @argument(
        "task_topics",
        nargs=-1,
        callback=_topic_names,
        metavar="[TASK_TOPIC]...",
        help="Topics of your task types. By default, a topic is named after its type.",
    )
    @option(
        "--types",
        "type_targets",
        multiple=True,
        metavar="MODULE[:NAME,...]",
        help="Python module that declares task types, or MODULE:NAME of a worker: the topics of these types, too. "
        "Can be repeated. A type with awakeable_only=True needs no topic, and is left out.",
    )
    @option(
        "--partitions",
        default=_DEFAULTS.partitions,
        show_default=True,
        type=click.IntRange(1),
        metavar="N",
        help="Partitions of each topic. They limit how many bridges, or workers of one group, share the load.",
    )
    @option(
        "--replication",
        default=_DEFAULTS.replication,
        type=click.IntRange(-1),
        metavar="N",
        help="Replicas of each partition. Default: the default of the cluster.",
    )
    @option(
        "--longest-timeout",
        default=f"{_DEFAULTS.longest_timeout.days}d",
        show_default=True,
        callback=read_span,
        metavar="DURATION",
        help="The longest timeout of your task types, for example 36h or 14d. Records are kept one day longer.",
    )
    @option(
        "--max-result-bytes",
        default=_DEFAULTS.max_result_bytes,
        show_default=True,
        type=click.IntRange(1024),
        metavar="BYTES",
        help="Maximum size of a result record. Dead letters may be larger by the size of their headers.",
    )
    @option("--json", "as_json", is_flag=True, help="Print one JSON object for each topic.")
    @functools.wraps(run)
    def with_layout(
        *, task_topics: tuple[str, ...], type_targets: tuple[str, ...], as_json: bool, **options: Any
    ) -> None:
        names = ("partitions", "replication", "longest_timeout", "max_result_bytes")
        layout = TopicLayout(**{name: options.pop(name) for name in names})
        settings = Settings.from_env()
        wanted = (*task_topics, *(each.topic for each in worker_task_types(type_targets)))
        run(settings, layout.specs(settings.topics, wanted), as_json=as_json, **options)

    return with_layout


@topics.command(cls=TextCommand)
@_layout_options
@option("--dry-run", is_flag=True, help="Show the topics that would be created, and which exist. Nothing is changed.")
def create(settings: Settings, specs: list[TopicSpec], *, as_json: bool, dry_run: bool) -> None:
    """Create kallback's own topics and the topics of your task types.

    A topic that exists is not changed. If it differs from what is wanted, the difference is shown. Where no broker
    answers, --dry-run calls all topics planned, and says so.

    For example:

        kallback topics create restaurant.prepare
        kallback topics create --types kitchen:worker
    """
    if dry_run:
        _print(_planned(settings, specs), as_json=as_json)
        return
    _print([_found(finding) for finding in asyncio.run(create_topics(settings.kafka, specs))], as_json=as_json)


@topics.command(cls=TextCommand)
@_layout_options
def check(settings: Settings, specs: list[TopicSpec], *, as_json: bool) -> None:
    """Compare the topics of the cluster with what is wanted. Nothing is changed.

    Exit codes: 0 if all topics are as wanted, 1 if one is missing or differs, 2 if a setting must change.

    For example:

        kallback topics check restaurant.prepare
    """
    found = [_found(finding) for finding in asyncio.run(compare_topics(settings.kafka, specs))]
    _print(found, as_json=as_json)
    counts = Counter(each["status"] for each in found)
    if counts["missing"] or counts["differs"]:
        raise TopicsDifferError(
            f"{counted(counts['missing'], 'topic')} missing, {counts['differs']} different: `kallback topics create` "
            "creates what is missing; change the others with your cluster's tools, or adjust the options"
        )


def _print(topics: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for topic in topics:
            click.echo(orjson.dumps(topic))
        return
    print_table(("STATUS", "TOPIC", "DETAILS"), [(each["status"], each["topic"], _details(each)) for each in topics])


def _details(topic: dict[str, Any]) -> str:
    if "partitions" in topic and not topic.get("differences"):
        config = " ".join(f"{name}={value}" for name, value in topic["config"].items())
        return f"partitions={topic['partitions']} {config}"
    return "; ".join(topic["differences"])


def _planned(settings: Settings, specs: list[TopicSpec]) -> list[dict[str, Any]]:
    """What is wanted, with what is there."""
    wanted = [_wanted(spec) for spec in specs]
    try:
        found = [_found(finding) for finding in asyncio.run(compare_topics(settings.kafka, specs))]
    except (KafkaUnavailableError, AccessDeniedError, MissingExtraError) as error:
        click.echo(f"Which of them exist is not known: {error}", err=True)
        return wanted
    there = {each["topic"]: each for each in found if each["status"] != "missing"}
    return [each | there.get(each["topic"], {}) for each in wanted]


def _wanted(spec: TopicSpec) -> dict[str, Any]:
    return {
        "topic": spec.name,
        "status": "planned",
        "partitions": spec.partitions,
        "replication": spec.replication,
        "config": dict(spec.config),
    }


def _found(finding: TopicFinding) -> dict[str, Any]:
    match finding:
        case Created(name):
            return {"topic": name, "status": "created", "differences": []}
        case Existed(name):
            return {"topic": name, "status": "exists", "differences": []}
        case Missing(name):
            return {"topic": name, "status": "missing", "differences": []}
        case Differs(name, differences):
            return {"topic": name, "status": "differs", "differences": list(differences)}
