"""Options with which people look into a process: the health port and OpenTelemetry, both off by default."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import click

from kallback.cli.help import option, option_of

_observe = option_of("Health and tracing")

health_port_option = _observe(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /metrics, /livez and /readyz on this port. Default: off.",
)
health_host_option = _observe(
    "--health-host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address of the health port. The port has neither TLS nor a login.",
)
otel_option = _observe(
    "--otel", is_flag=True, help="Send OpenTelemetry spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names."
)
verbose_option = option("-v", "--verbose", is_flag=True, help="Log more, including the Kafka client's messages.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """How people look into the bridge.

    Attributes:
        health_port: serves `/metrics`, `/livez` and `/readyz`; None: no port is opened.
        health_host: address that the port listens on.
        otel: send spans.
    """

    health_port: int | None
    health_host: str
    otel: bool


def observing_options(run: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets them as `observing`."""

    @health_port_option
    @health_host_option
    @otel_option
    @functools.wraps(run)
    def with_observing(*, health_port: int | None, health_host: str, otel: bool, **others: object) -> None:
        run(observing=Observing(health_port=health_port, health_host=health_host, otel=otel), **others)

    return with_observing
