"""`kallback dev`: a local Kafka and Restate for development."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from kallback.cli.help import TextCommand, option
from kallback.cli.imports import needs_extra
from kallback.protocol.errors import ConfigurationError

_PORT = click.IntRange(1, 65535)


@click.command(cls=TextCommand)
@option("--kafka-port", type=_PORT, metavar="PORT", help="Port of Kafka. Default: a free port.")
@option("--ingress-port", type=_PORT, metavar="PORT", help="Port of Restate's ingress. Default: a free port.")
@option("--admin-port", type=_PORT, metavar="PORT", help="Port of Restate's admin API. Default: a free port.")
@option(
    "--console-port",
    type=_PORT,
    metavar="PORT",
    help="Port of the console. Default: 8091, or a free port if it is taken.",
)
@option(
    "--gateway-port",
    type=_PORT,
    metavar="PORT",
    help="Port of the gateway. Default: 8090, or a free port if it is taken.",
)
@option(
    "--process",
    "processes",
    multiple=True,
    metavar="URL",
    help="Health port of a bridge, a worker or a gateway that the console shows, for example http://127.0.0.1:9464 of "
    "`kallback bridge --health-port 9464`. Can be repeated.",
)
@option(
    "--start-timeout",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time in which each server must answer.",
)
@option("--example", is_flag=True, help="Write the README's shared.py, handler.py and worker.py to this folder.")
def dev(
    *,
    kafka_port: int | None,
    ingress_port: int | None,
    admin_port: int | None,
    console_port: int | None,
    gateway_port: int | None,
    processes: tuple[str, ...],
    start_timeout: float,
    example: bool,
) -> None:
    """Start a local Kafka and Restate for development, a gateway and the console.

    Creates kallback's topics, and prints the addresses, the variables to export and what to type next. Ctrl-C stops
    everything and removes the servers' data.

    What this machine lacks for them (Java, Node.js, the servers) is downloaded once.

    For example, in an empty folder:

        kallback dev --example
    """
    with needs_extra("dev"):
        from kallback.testing.dev import run_dev  # noqa: PLC0415 - loaded only where the extra is there
        from kallback.testing.servers.ports import is_free  # noqa: PLC0415
        from kallback.testing.stack import KafkaOptions, RestateOptions  # noqa: PLC0415
    wanted = {
        "--kafka-port": kafka_port,
        "--ingress-port": ingress_port,
        "--admin-port": admin_port,
        "--console-port": console_port,
        "--gateway-port": gateway_port,
    }
    _check_ports({name: port for name, port in wanted.items() if port is not None}, is_free)
    run_dev(
        KafkaOptions(port=kafka_port, start_timeout=start_timeout),
        RestateOptions(ingress_port=ingress_port, admin_port=admin_port, start_timeout=start_timeout),
        console_port=console_port,
        gateway_port=gateway_port,
        processes=processes,
        example=Path.cwd() if example else None,
    )


def _check_ports(wanted: dict[str, int], is_free: Callable[[int], bool]) -> None:
    """Refuse a port that a server could not take: the servers' own errors do not name the option."""
    for name, port in wanted.items():
        same = [other for other, its in wanted.items() if its == port and other != name]
        if same:
            raise ConfigurationError(f"{name} and {same[0]} have the same port, {port}: give each its own")
        if not is_free(port):
            raise ConfigurationError(
                f"port {port} is in use: choose another {name}, or leave the option out to take a free port"
            )
