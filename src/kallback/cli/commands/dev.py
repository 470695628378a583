"""`kallback dev`: a local Kafka and Restate for development."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from kallback.cli.help import TextCommand, option, option_of
from kallback.cli.imports import needs_extra
from kallback.protocol.errors import ConfigurationError

_application = option_of("Your programs")
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
    "--bridge-health-port",
    type=_PORT,
    metavar="PORT",
    help="Health port of the bridge that runs with your programs. Default: 9464, or a free port if it is taken.",
)
@option(
    "--gateway-health-port",
    type=_PORT,
    metavar="PORT",
    help="Health port of the gateway. Default: 9466, or a free port if it is taken.",
)
@option(
    "--process",
    "processes",
    multiple=True,
    metavar="[NAME=]URL",
    help="Health port of a bridge, a worker, a service or a gateway that the console shows, for example "
    "http://127.0.0.1:9464 of `kallback bridge --health-port 9464`; NAME is shown beside it. Can be repeated.",
)
@option(
    "--start-timeout",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time in which each server must answer.",
)
@_application(
    "--service",
    "services",
    multiple=True,
    metavar="MODULE:NAME",
    help="Application that `kallback service` takes: run it, and register it with Restate. Options follow in quotes. "
    "Can be repeated.",
)
@_application(
    "--worker",
    "workers",
    multiple=True,
    metavar="MODULE:NAME",
    help="Worker that `kallback worker` takes: create its topics, and run it. Options follow in quotes, such as "
    '"kitchen:worker --concurrency 4". Can be repeated.',
)
@_application(
    "--types",
    "types",
    multiple=True,
    metavar="MODULE[:NAME,...]",
    help="Python module that declares task types, such as shared: gateway and console check results of these types. "
    "Can be repeated.",
)
@_application(
    "--reload-exclude",
    "exclude",
    multiple=True,
    metavar="PATTERN",
    help="Files and folders whose changes start nothing anew, such as scripts, print_shop/generated or '*_pb2.py'. "
    "Can be repeated.",
)
@_application(
    "--example",
    is_flag=True,
    help="Write the README's shared.py, handler.py and worker.py to this folder, and run them.",
)
@option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Keep what Kafka and Restate hold, their ports and the signing key in this directory, and go on with it. "
    "Default: they end with the command.",
)
def dev(  # noqa: PLR0913 - one option each
    *,
    kafka_port: int | None,
    ingress_port: int | None,
    admin_port: int | None,
    console_port: int | None,
    gateway_port: int | None,
    bridge_health_port: int | None,
    gateway_health_port: int | None,
    processes: tuple[str, ...],
    start_timeout: float,
    services: tuple[str, ...],
    workers: tuple[str, ...],
    types: tuple[str, ...],
    exclude: tuple[str, ...],
    example: bool,
    data: Path | None,
) -> None:
    """Start a local Kafka and Restate for development, a gateway and the console, and your own programs.

    With --service or --worker, these and a bridge run as well, with their log lines here. When a Python file in this
    folder or below it changes, what imports your modules starts anew, and a program that has ended starts again. So it
    does when you type r and Enter; r and the name of a program starts that one anew.

    Creates kallback's topics, and prints the addresses, the variables to export and what to type next. Ctrl-C stops
    everything and, without --data, removes the servers' data.

    What this machine lacks for them (Java, Node.js, the servers) is downloaded once.

    For example:

        kallback dev --service shop.service:app --worker shop.worker:worker --types shop.tasks

    In an empty folder:

        kallback dev --example
    """
    with needs_extra("dev"):
        from kallback.testing.dev import Application, run_dev  # noqa: PLC0415 - loaded only where the extra is there
        from kallback.testing.dev.example import EXAMPLE, write_example  # noqa: PLC0415
        from kallback.testing.servers.ports import is_free  # noqa: PLC0415
        from kallback.testing.stack import KafkaOptions, RestateOptions  # noqa: PLC0415
    wanted = {
        "--kafka-port": kafka_port,
        "--ingress-port": ingress_port,
        "--admin-port": admin_port,
        "--console-port": console_port,
        "--gateway-port": gateway_port,
        "--bridge-health-port": bridge_health_port,
        "--gateway-health-port": gateway_health_port,
    }
    if example and (services or workers or types):
        raise click.UsageError("--example runs its own programs: leave --service, --worker and --types out")
    if exclude and not (example or services or workers or types):
        raise click.UsageError("--reload-exclude is for programs that start anew: add --service, --worker or --types")
    if bridge_health_port is not None and not (example or services or workers):
        raise click.UsageError("--bridge-health-port is for the bridge that runs with --service or --worker: add one")
    _check_ports({name: port for name, port in wanted.items() if port is not None}, is_free)
    if example:
        click.echo(write_example(Path.cwd()))
    run_dev(
        KafkaOptions(port=kafka_port, start_timeout=start_timeout),
        RestateOptions(ingress_port=ingress_port, admin_port=admin_port, start_timeout=start_timeout),
        console_port=console_port,
        gateway_port=gateway_port,
        bridge_health_port=bridge_health_port,
        gateway_health_port=gateway_health_port,
        processes=processes,
        application=replace(EXAMPLE, exclude=exclude) if example else Application(services, workers, types, exclude),
        data=data,
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
