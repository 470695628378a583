"""`kallback worker MODULE:NAME`: one worker process."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import click

from kallback.cli.help import TextCommand, argument, option_of
from kallback.cli.imports import load_target, needs_extra
from kallback.cli.logs import configure_logs
from kallback.cli.observing import health_host_option, health_port_option, verbose_option
from kallback.cli.runner import serve
from kallback.workers import Client, Worker

_kafka = option_of("Kafka")


@click.command(cls=TextCommand)
@argument("target", metavar="MODULE:NAME", help="Module and name of a kallback.workers.Worker.")
@_kafka(
    "--client",
    type=click.Choice([each.value for each in Client]),
    help="Kafka client library. Default: the client that the worker was created with.",
)
@_kafka(
    "--instance-id",
    metavar="NAME",
    help="Stable, unique name of this process in its consumer group. Give one to all workers of a group or to none.",
)
@health_port_option
@health_host_option
@verbose_option
def worker(
    target: str,
    *,
    client: str | None,
    instance_id: str | None,
    health_port: int | None,
    health_host: str,
    verbose: bool,
) -> None:
    """Run a worker process.

    Python looks for MODULE in the current directory first. If kitchen.py contains `worker = Worker("kitchen")`, write
    kitchen:worker.

    SIGTERM or Ctrl-C drains: running tasks get time to finish, and Kafka redelivers the others to another worker. A
    second signal ends the process at once.

    Settings: KALLBACK_KAFKA_BOOTSTRAP_SERVERS and the other KALLBACK_KAFKA_* and KALLBACK_TOPICS_* variables.

    For example:

        kallback worker kitchen:worker
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
    with needs_extra("workers"):
        from kallback.workers.observability.health import WorkerHealthServer  # noqa: PLC0415 - costs memory, and is optional

    return [WorkerHealthServer(worker, port, host)]


def load_worker(target: str) -> Worker:
    """Import the worker that MODULE:NAME names.

    Raises:
        ConfigurationError: the text has another shape, or there is no such module, name or worker.
    """
    found: Worker = load_target(
        target,
        lambda each: isinstance(each, Worker),
        what="a kallback.workers.Worker",
        example="kitchen:worker",
    )
    return found
