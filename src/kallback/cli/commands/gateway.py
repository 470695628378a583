"""`kallback gateway`: one gateway process."""

from __future__ import annotations

from typing import Final

import click

from kallback.cli.contracts.task_types import named_task_types
from kallback.cli.help import TextCommand, option_of
from kallback.cli.insecure import insecure_option, settings_from_env
from kallback.cli.listening import listening_options
from kallback.cli.logs import configure_logs
from kallback.cli.observing import health_host_option, health_port_option, verbose_option
from kallback.cli.runner import serve
from kallback.gateway import Gateway, GatewayOptions
from kallback.kafka import Client
from kallback.web import ServerOptions

_DEFAULTS: Final = GatewayOptions()
_BOUNDS: Final = _DEFAULTS.server
_http = option_of("HTTP")
_limits = option_of("Limits")


@click.command(cls=TextCommand)
@listening_options(_BOUNDS.port, "The port has no TLS: put a proxy with TLS before it.")
@_http(
    "--client-header",
    metavar="NAME",
    help="Header in which a proxy puts the client's address, for the rate limit, such as X-Forwarded-For. Only with a "
    "proxy that sets it. Default: the address of the connection.",
)
@option_of("Results")(
    "--types",
    "type_targets",
    multiple=True,
    metavar="MODULE[:NAME,...]",
    help="Python module that declares task types, such as shared: results of these types are checked before their "
    "tokens are used up. May be repeated.",
)
@_limits(
    "--max-bytes",
    "max_body_bytes",
    default=_BOUNDS.max_body_bytes,
    show_default=True,
    type=click.IntRange(1),
    metavar="BYTES",
    help="Largest body of a request.",
)
@_limits(
    "--max-connections",
    default=_BOUNDS.max_connections,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="Open connections. Beyond that, one that has not sent its request yet is closed.",
)
@_limits(
    "--request-timeout",
    default=_BOUNDS.request_timeout,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time in which a request must arrive as a whole.",
)
@_limits(
    "--requests-per-second",
    default=_DEFAULTS.requests_per_second,
    show_default=True,
    type=click.FloatRange(0),
    metavar="N",
    help="Requests of one client in the long run. 0: no limit.",
)
@_limits(
    "--burst",
    default=_DEFAULTS.burst,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="Requests that one client may send at once.",
)
@option_of("Kafka")(
    "--client",
    default=_DEFAULTS.client.value,
    show_default=True,
    type=click.Choice([each.value for each in Client]),
    help="Kafka client library.",
)
@health_port_option
@health_host_option
@insecure_option
@verbose_option
def gateway(  # noqa: PLR0913 - one option each
    *,
    port: int,
    host: str,
    client_header: str | None,
    type_targets: tuple[str, ...],
    max_body_bytes: int,
    max_connections: int,
    request_timeout: float,
    requests_per_second: float,
    burst: int,
    client: str,
    health_port: int | None,
    health_host: str,
    insecure: bool,
    verbose: bool,
) -> None:
    """Run a gateway: take results, failures and heartbeats of tasks over HTTP and write them to Kafka.

    For workers and people without a Kafka client. A request has the task's token in header Authorization: Bearer, or
    goes to the task's link. 202 means that Kafka has the record; a bridge completes the task.

    SIGTERM or Ctrl-C lets the gateway answer the requests that it has.

    Settings: KALLBACK_KEYS (or --insecure), KALLBACK_KAFKA_*, KALLBACK_TOPICS_*. docs/gateway.md explains the requests.

    For example:

        kallback gateway --port 8090 --health-port 9466 --types shared
    """
    configure_logs(verbose=verbose)
    settings = settings_from_env(insecure=insecure)
    server = ServerOptions(
        host=host,
        port=port,
        max_body_bytes=max_body_bytes,
        max_buffered_bytes=max(_BOUNDS.max_buffered_bytes, max_body_bytes),
        max_connections=max_connections,
        request_timeout=request_timeout,
    )
    options = GatewayOptions(
        server=server,
        client=Client(client),
        client_header=client_header,
        task_types=named_task_types(type_targets),
        requests_per_second=requests_per_second,
        burst=burst,
    )
    running = Gateway(settings, options)
    if health_port is None:
        serve(running)
        return
    from kallback.gateway.observability import GatewayHealthServer  # noqa: PLC0415 - costs memory, and is optional

    serve(running, GatewayHealthServer(running, health_port, health_host))
