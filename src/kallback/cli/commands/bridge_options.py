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

from kallback.bridge import BridgeOptions, CompleterName
from kallback.bridge.results.late_policy import read_policies
from kallback.cli.commands.instance_id import AUTO, instance_id_for
from kallback.cli.help_sections import option_of

_DEFAULTS: Final = BridgeOptions()
_MEMBER: Final = _DEFAULTS.consumer
_NEVER: Final = "never"
_SECONDS: Final = click.FloatRange(0)
_COUNT: Final = click.IntRange(1)

_replica = option_of("Replicas and restarts")
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
        raise click.BadParameter(f"{value!r} is no number of seconds, and not {_NEVER!r}", ctx, param)
    return seconds


_OPTIONS: Final = (
    _replica("--group", default=_DEFAULTS.group, help="Consumer group that bridges share.  [default: RESULTS.bridge]"),
    _replica(
        "--instance-id",
        default=AUTO,
        show_default=True,
        metavar="NAME|auto|none",
        help="Name of this replica: after a crash it has its partitions back at once. auto: a StatefulSet's pod name.",
    ),
    _replica(
        "--session-timeout",
        default=_MEMBER.session_timeout,
        show_default=True,
        type=click.FloatRange(1),
        metavar="SECONDS",
        help="Seconds after which the others take over from a bridge that was killed.",
    ),
    _replica(
        "--commit-interval",
        default=_MEMBER.commit_interval,
        show_default=True,
        type=click.FloatRange(0.05),
        metavar="SECONDS",
        help="Seconds between commits: so much is sent again after a crash.",
    ),
    _replica(
        "--drain-timeout",
        type=_SECONDS,
        metavar="SECONDS",
        help=f"Seconds that a stop ({_DEFAULTS.drain_timeout:g}) or a rebalance ({_MEMBER.drain_timeout:g}) waits for "
        "what is in flight.",
    ),
    _flow(
        "--completer",
        default=_DEFAULTS.completer.value,
        show_default=True,
        type=click.Choice([each.value for each in CompleterName]),
        help="One request per result, or batches to NotifierService, which a Restate service must have bound.",
    ),
    _flow(
        "--concurrency",
        default=_DEFAULTS.concurrency,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="Completions on their way to Restate at one time.",
    ),
    _flow(
        "--max-in-flight",
        default=_DEFAULTS.max_in_flight,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="Results fetched and not settled.",
    ),
    _flow(
        "--partition-in-flight",
        default=_DEFAULTS.partition_in_flight,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="The same of one partition; keep it well below, so that one leaves room for the others.",
    ),
    _flow(
        "--window",
        default=_MEMBER.window,
        show_default=True,
        type=_COUNT,
        metavar="N",
        help="How far a partition runs ahead of its oldest unfinished result.",
    ),
    _flow(
        "--park-after",
        default=f"{_DEFAULTS.park_after:g}",
        show_default=True,
        callback=_park_after,
        metavar=f"SECONDS|{_NEVER}",
        help="A result that fails for so long while others get through becomes a dead letter.",
    ),
    _results(
        "--late",
        multiple=True,
        metavar="[TYPE=]POLICY",
        help="What to do with late results, of one task type or of all others: dead-letter (the default), drop, or "
        "handler:Service/handler. May be repeated.",
    ),
    _results(
        "--late-grace",
        default=_DEFAULTS.late_grace,
        show_default=True,
        type=_SECONDS,
        metavar="SECONDS",
        help="Seconds after the deadline in which a result is still delivered.",
    ),
    _results("--outcomes", is_flag=True, help="Write what became of each result to the outcomes topic."),
    _results(
        "--progress/--no-progress",
        default=_DEFAULTS.progress,
        show_default=True,
        help="Forward heartbeats of workers, and say up to when topics were read, to the services that watch tasks.",
    ),
    _results("--allow-bare-awakeables", is_flag=True, help="Take a bare awakeable id for a token. It proves nothing."),
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

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


_ALL: Final = (
    *_NAMES,
    "instance_id",
    "session_timeout",
    "commit_interval",
    "drain_timeout",
    "completer",
    "window",
    "late",
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
        completer=CompleterName(given["completer"]),
        drain_timeout=_DEFAULTS.drain_timeout if drain is None else drain,
        late=read_policies(given["late"]),
        **{each: given[each] for each in _NAMES},
    )
