"""`kallback worker MODULE:NAME`: one worker process."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import click

from kallback.cli.health_options import health_host_option, health_port_option
from kallback.cli.logs import configure_logs
from kallback.cli.runner import serve
from kallback.cli.targets import load_target
from kallback.protocol.errors import ConfigurationError
from kallback.workers import Client, Worker


@click.command()
@click.argument("target", metavar="MODULE:NAME")
@click.option(
    "--client",
    type=click.Choice([each.value for each in Client]),
    help="The Kafka client, whatever the worker itself says.",
)
@click.option(
    "--instance-id",
    metavar="NAME",
    help="A name that this process alone has and keeps over restarts; all workers of a group have one, or none.",
)
@health_port_option
@health_host_option
@click.option("-v", "--verbose", is_flag=True, help="Log more, the Kafka client included.")
def worker(
    target: str,
    *,
    client: str | None,
    instance_id: str | None,
    health_port: int | None,
    health_host: str,
    verbose: bool,
) -> None:
    """Run the worker NAME that is defined in MODULE.

    The module is looked for in the current directory first. With kitchen.py holding `worker = Worker("kitchen")`:

        kallback worker kitchen:worker

    Settings: KALLBACK_KAFKA_BOOTSTRAP_SERVERS and the other KALLBACK_KAFKA_* and KALLBACK_TOPICS_* variables.
    SIGTERM or Ctrl-C drains: running tasks get time to finish, what is not finished is left for another worker.
    """
    configure_logs(verbose=verbose)
    found = load_worker(target)
    if client is not None:
        found.use_client(Client(client))
    if instance_id is not None:
        found.use_instance_id(instance_id)
    serve(found, *_health(found, health_port, health_host))


def _health(worker: Worker, port: int | None, host: str) -> list[AbstractAsyncContextManager[object]]:
    if port is None:
        return []
    from kallback.workers.observability.health import HealthServer  # noqa: PLC0415 - a worker that nobody looks into does not pay

    return [HealthServer(worker, port, host)]


def load_worker(target: str) -> Worker:
    """Import the worker that MODULE:NAME names.

    Raises:
        ConfigurationError: the text has another shape, or there is no such module, name or worker.
    """
    found = load_target(target, what="a worker", example="kitchen:worker")
    if not isinstance(found, Worker):
        module, _, name = target.partition(":")
        raise ConfigurationError(f"{module} has no kallback.workers.Worker named {name!r}")
    return found
