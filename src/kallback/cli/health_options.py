"""Options of the health port, for every command that has one."""

from __future__ import annotations

import click

health_port_option = click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /metrics, /livez and /readyz there. Default: off.",
)
health_host_option = click.option(
    "--health-host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address of the health port; it has neither TLS nor a login.",
)
