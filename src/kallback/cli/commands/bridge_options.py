"""The options of `kallback bridge` that become its `BridgeOptions`, in sections."""

from __future__ import annotations

import functools
import math
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import click
from click.core import ParameterSource

from kallback.bridge import BridgeOptions, Client, CompleterName
from kallback.bridge.results.late_policy import read_policies
from kallback.cli.commands.instance_id import AUTO, instance_id_for
from kallback.cli.help import option_of
from kallback.protocol import read_conventions

_DEFAULTS: Final = BridgeOptions()
_MEMBER: Final = _DEFAULTS.consumer
_NEVER: Final = "never"
_SECONDS: Final = click.FloatRange(0)
_COUNT: Final = click.IntRange(1)

_replica = option_of("Replicas and restarts")
_kafka = option_of("Kafka")
_flow = option_of("Flow control")
_results = option_of("Results")


def _park_after(ctx: click.Context, param: click.Parameter, value: str) -> float | None:
    if value == _NEVER:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise click.BadParameter(f"{value!r} is neither a number of seconds nor {_NEVER!r}", ctx, param)
    return seconds


def _group(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.strip() and ctx.get_parameter_source("group") is ParameterSource.COMMANDLINE:
        raise click.BadParameter("it is empty: give a name, or leave the option out", ctx, param)
    return value


_OPTIONS: Final = (
    _replica(
        "--group",
        default=_DEFAULTS.group,
        callback=_group,
        metavar="NAME",
        help="Consumer group that the bridges share. Default: the name of the results topic with '.bridge' added.",
    ),
    _replica(
        "--instance-id",
        default=AUTO,
        show_default=True,
        metavar="NAME|auto|none",
        help="Stable name of this replica: after a crash it gets its partitions back at once. 'auto' takes the pod "
        "name of a Kubernetes StatefulSet, otherwise none.",
    ),
    _replica(
        "--session-timeout",
        default=_MEMBER.session_timeout,
        show_default=True,
        type=click.FloatRange(1),
        metavar="SECONDS",
        help="Time after which the other bridges take over from one that was killed.",
    ),
    _replica(
        "--commit-interval",
        default=_MEMBER.commit_interval,
        show_default=True,
        type=click.FloatRange(0.05),
        metavar="SECONDS",
        help="Time between offset commits. After a crash, results of at most this time are processed again.",
    ),
    _replica(
        "--drain-timeout",
        type=_SECONDS,
        metavar="SECONDS",
        help="Time to finish results in flight. "
        f"Default: {_DEFAULTS.drain_timeout:g} at a stop, {_MEMBER.drain_timeout:g} at a rebalance.",
    ),
    _kafka(
        "--client",
        default=_DEFAULTS.client.value,
        show_default=True,
        type=click.Choice([each.value for each in Client]),
        help="Kafka client library. 'aiokafka' bounds the memory that a compressed record can take. 'confluent' sends "
        "heartbeats from a thread. Without instance ids, all bridges of a group use the same one.",
    ),
    _flow(
        "--completer",
        default=_DEFAULTS.completer.value,
        show_default=True,
        type=click.Choice([each.value for each in CompleterName]),
        help="How awakeables are completed. 'ingress' sends one request for each result. 'notifier' sends batches to "
        "NotifierService, which a Restate service must bind.",
    ),
    _flow(
        "--concurrency",
        default=_DEFAULTS.concurrency,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="Maximum number of concurrent requests to Restate.",
    ),
    _flow(
        "--max-in-flight",
        default=_DEFAULTS.max_in_flight,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="Maximum number of results that are fetched and not yet settled.",
    ),
    _flow(
        "--partition-in-flight",
        default=_DEFAULTS.partition_in_flight,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="The same limit for one partition. Keep it well below --max-in-flight, so that one partition cannot block "
        "the others.",
    ),
    _flow(
        "--window",
        default=_MEMBER.window,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="Maximum distance, in records, between a partition's oldest unfinished result and its newest fetched one.",
    ),
    _flow(
        "--park-after",
        default=f"{_DEFAULTS.park_after:g}",
        show_default=True,
        callback=_park_after,
        metavar=f"SECONDS|{_NEVER}",
        help="Time after which a result becomes a dead letter if it keeps failing while other results succeed.",
    ),
    _results(
        "--late",
        multiple=True,
        metavar="[TYPE=]POLICY",
        help="What to do with late results, for one task type or for all others: 'dead-letter' (the default), 'drop' "
        "or 'handler:Service/handler'. Can be repeated.",
    ),
    _results(
        "--late-grace",
        default=_DEFAULTS.late_grace,
        show_default=True,
        type=_SECONDS,
        metavar="SECONDS",
        help="Time after the deadline during which a result is still delivered.",
    ),
    _results(
        "--convention",
        multiple=True,
        metavar="[TYPE=]CONVENTION[:NAME,...]",
        help="What marks a result as failed besides what is detected, for one task type or for all others: error "
        "headers ('spring:x-error,x-failure', also smallrye and faststream), event types "
        "('cloudevents:com.example.failed'). 'kallback' switches detection off. Can be repeated.",
    ),
    _results("--outcomes", is_flag=True, help="Write the outcome of each result to the outcomes topic."),
    _results(
        "--progress/--no-progress",
        default=_DEFAULTS.progress,
        show_default=True,
        help="Forward heartbeats from workers to the Restate services that monitor tasks.",
    ),
    _results(
        "--allow-bare-awakeables",
        is_flag=True,
        help="Accept unsigned awakeable ids in place of tokens. They are not authenticated.",
    ),
)
_letters = option_of("Dead letters of unverified results")
_LETTERS: Final = (
    _letters(
        "--dead-letters-per-second",
        type=_COUNT,
        metavar="N",
        help="Dead letters of one reason that are written whole; what comes beyond is counted in summaries. "
        "Default: KALLBACK_DEAD_LETTERS_PER_SECOND, else 100.",
    ),
    _letters(
        "--dead-letter-bytes-per-hour",
        type=_COUNT,
        metavar="BYTES",
        help="Bytes of all of these. Default: KALLBACK_DEAD_LETTERS_BYTES_PER_HOUR, else 256 MiB.",
    ),
)
_NAMES: Final = (
    "group",
    "concurrency",
    "max_in_flight",
    "partition_in_flight",
    "park_after",
    "late_grace",
    "outcomes",
    "progress",
    "allow_bare_awakeables",
)


def bridge_options(run: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets them as `options`, a `BridgeOptions`."""

    @functools.wraps(run)
    def with_options(**given: Any) -> None:
        own = {each: given.pop(each) for each in _ALL}
        run(options=_read(own), **given)

    for each in reversed(_OPTIONS):
        with_options = each(with_options)
    return with_options


def dead_letter_options(run: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets what was given as `letters`, members of `DeadLetterSettings`."""

    @functools.wraps(run)
    def with_options(
        *, dead_letters_per_second: int | None, dead_letter_bytes_per_hour: int | None, **given: Any
    ) -> None:
        found = {"per_second": dead_letters_per_second, "bytes_per_hour": dead_letter_bytes_per_hour}
        run(letters={name: value for name, value in found.items() if value is not None}, **given)

    for each in reversed(_LETTERS):
        with_options = each(with_options)
    return with_options


_ALL: Final = (
    *_NAMES,
    "client",
    "instance_id",
    "session_timeout",
    "commit_interval",
    "drain_timeout",
    "completer",
    "window",
    "late",
    "convention",
)


def _read(given: dict[str, Any]) -> BridgeOptions:
    drain = given["drain_timeout"]
    consumer = replace(
        _MEMBER,
        group_instance_id=instance_id_for(
            given["instance_id"], hostname=socket.gethostname(), in_kubernetes="KUBERNETES_SERVICE_HOST" in os.environ
        ),
        session_timeout=given["session_timeout"],
        commit_interval=given["commit_interval"],
        drain_timeout=_MEMBER.drain_timeout if drain is None else drain,
        window=given["window"],
    )
    return BridgeOptions(
        consumer=consumer,
        client=Client(given["client"]),
        completer=CompleterName(given["completer"]),
        drain_timeout=_DEFAULTS.drain_timeout if drain is None else drain,
        late=read_policies(given["late"]),
        conventions=read_conventions(given["convention"]),
        **{each: given[each] for each in _NAMES},
    )
