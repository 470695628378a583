"""What lets people look into a running bridge: the health port and OpenTelemetry, both off unless asked for.

Their modules are imported only then: a bridge that nobody looks into does not pay for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import click

from kallback.bridge import Bridge, BridgeOptions, Parts
from kallback.cli.health_options import health_host_option, health_port_option
from kallback.cli.runner import serve
from kallback.settings import Settings

_LEAST_PATIENCE: Final = 60.0
_REQUESTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """How people look into the bridge.

    Attributes:
        health_port: where `/metrics`, `/livez` and `/readyz` are; None: nowhere.
        health_host: address that it listens on.
        otel: send spans.
    """

    health_port: int | None
    health_host: str
    otel: bool


def observing_options(run: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets them as `observing`."""

    @health_port_option
    @health_host_option
    @click.option("--otel", is_flag=True, help="Send OpenTelemetry spans; OTEL_EXPORTER_OTLP_ENDPOINT says where to.")
    @functools.wraps(run)
    def with_observing(*, health_port: int | None, health_host: str, otel: bool, **others: object) -> None:
        run(observing=Observing(health_port=health_port, health_host=health_host, otel=otel), **others)

    return with_observing


def serve_observed(
    settings: Settings, options: BridgeOptions, observing: Observing, *, parts: Parts | None = None
) -> None:
    """Run a bridge until it ends or a signal asks it to, as `serve`."""
    beside: list[AbstractAsyncContextManager[object]] = []
    on_settled = None
    if observing.otel:
        from kallback.bridge import otlp_tracing  # noqa: PLC0415 - see above

        tracing = otlp_tracing(options.group_for(settings.topics.results))
        beside.append(tracing)
        on_settled = tracing.settled
    bridge = Bridge(settings, options, parts=parts, on_settled=on_settled)
    if observing.health_port is not None:
        from kallback.bridge import HealthServer  # noqa: PLC0415

        patience = max(_LEAST_PATIENCE, _REQUESTS * settings.restate.request_timeout)
        health = HealthServer(bridge, observing.health_port, observing.health_host, stuck_after=patience)
        beside.append(health)
    serve(bridge, *beside)
