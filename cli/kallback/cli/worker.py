"""`kallback worker MODULE:NAME`: one worker process."""

from __future__ import annotations

import importlib

import click

from kallback.cli.logs import configure_logs
from kallback.cli.serving import serve
from kallback.protocol.errors import ConfigurationError
from kallback.workers import Worker


@click.command()
@click.argument("target", metavar="MODULE:NAME")
@click.option("-v", "--verbose", is_flag=True, help="Log more, the Kafka client included.")
def worker(target: str, *, verbose: bool) -> None:
    """Run the worker NAME that is defined in MODULE.

    The module is looked for in the current directory first. With kitchen.py holding `worker = Worker("kitchen")`:

        kallback worker kitchen:worker

    Settings: KALLBACK_KAFKA_BOOTSTRAP_SERVERS and the other KALLBACK_KAFKA_* and KALLBACK_TOPICS_* variables.
    SIGTERM or Ctrl-C drains: running tasks get time to finish, what is not finished is left for another worker.
    """
    configure_logs(verbose=verbose)
    serve(load_worker(target))


def load_worker(target: str) -> Worker:
    """Import the worker that MODULE:NAME names.

    Raises:
        ConfigurationError: the text has another shape, or there is no such module, name or worker.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise ConfigurationError(f"{target!r} does not name a worker: write MODULE:NAME, like kitchen:worker")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ConfigurationError(
            f"there is no module {module_name!r} here: run the command in the folder that holds it, or install it"
        ) from None
    found = getattr(module, name, None)
    if not isinstance(found, Worker):
        raise ConfigurationError(f"{module_name} has no kallback.workers.Worker named {name!r}")
    return found
