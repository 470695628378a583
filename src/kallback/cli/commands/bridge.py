"""`kallback bridge`: one bridge process."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final

import click

from kallback.bridge import Bridge, BridgeOptions, Dependencies
from kallback.cli.commands.bridge_options import bridge_options, dead_letter_options
from kallback.cli.garbage import collect_garbage_seldom
from kallback.cli.help import TextCommand
from kallback.cli.insecure import insecure_option, settings_from_env
from kallback.cli.logs import configure_logs
from kallback.cli.observing import Observing, observing_options, verbose_option
from kallback.cli.runner import serve
from kallback.settings import Settings

_LEAST_STUCK_AFTER_S: Final = 60.0
_REQUEST_TIMEOUTS: Final = 3
"""A bridge counts as stuck after three request timeouts without progress: one slow request is not a stuck process."""


@click.command(cls=TextCommand)
@bridge_options
@dead_letter_options
@observing_options
@insecure_option
@verbose_option
def bridge(
    *, options: BridgeOptions, letters: dict[str, int], insecure: bool, verbose: bool, observing: Observing
) -> None:
    """Run a bridge: read task results from Kafka and complete the awakeables that wait for them.

    Run as many bridges as you need; they share the partitions of the results topic. SIGTERM or Ctrl-C lets the bridge
    finish what is in flight and commit; a second one ends it at once.

    Settings: KALLBACK_KEYS (or --insecure), KALLBACK_KAFKA_BOOTSTRAP_SERVERS, KALLBACK_RESTATE_INGRESS_URL and others;
    docs/settings.md lists them. docs/bridge.md explains the options.

    For example:

        kallback bridge --health-port 9464
    """
    configure_logs(verbose=verbose)
    settings = settings_from_env(insecure=insecure)
    settings = replace(settings, dead_letters=replace(settings.dead_letters, **letters))
    collect_garbage_seldom()
    serve_observed(settings, options, observing)


def serve_observed(
    settings: Settings, options: BridgeOptions, observing: Observing, *, dependencies: Dependencies | None = None
) -> None:
    """Run a bridge until it ends or a signal stops it, as `serve`.

    The modules of health and tracing are imported only when they are asked for: they cost memory and start-up time.
    """
    beside: list[AbstractAsyncContextManager[object]] = []
    on_settled = None
    if observing.otel:
        from kallback.bridge import otlp_tracing  # noqa: PLC0415 - see above

        tracing = otlp_tracing(options.group_for(settings.topics.results))
        beside.append(tracing)
        on_settled = tracing.settled
    bridge = Bridge(settings, options, dependencies=dependencies, on_settled=on_settled)
    if observing.health_port is not None:
        from kallback.bridge import HealthServer  # noqa: PLC0415

        stuck_after = max(_LEAST_STUCK_AFTER_S, _REQUEST_TIMEOUTS * settings.restate.request_timeout)
        beside.append(HealthServer(bridge, observing.health_port, observing.health_host, stuck_after=stuck_after))
    serve(bridge, *beside)
