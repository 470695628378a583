"""`kallback service MODULE:NAME`: a Restate application in one process."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

import click

from kallback.cli.logs import configure_logs
from kallback.cli.targets import load_target
from kallback.protocol.errors import ConfigurationError


@click.command()
@click.argument("target", metavar="MODULE:NAME")
@click.option("--port", default=9080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on; who reaches it can call every handler.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log more, the Kafka client included.")
def service(target: str, *, port: int, host: str, verbose: bool) -> None:
    """Serve the Restate application NAME that is defined in MODULE, over HTTP/2.

    The module is looked for in the current directory first. With handler.py holding `app = restate.app([orders])`:

        kallback service handler:app

    Then tell Restate where it is: POST {admin}/deployments {"uri": "http://127.0.0.1:9080"}. SIGTERM or Ctrl-C ends it;
    Restate goes on with its invocations once a process is back.
    """
    configure_logs(verbose=verbose)
    asyncio.run(_serve(load_app(target), port, host))


def load_app(target: str) -> Any:
    """Import the application that MODULE:NAME names.

    Raises:
        ConfigurationError: the text has another shape, or there is no such module or name.
    """
    found = load_target(target, what="an application", example="handler:app")
    if not callable(found):
        module, _, name = target.partition(":")
        raise ConfigurationError(f"{module} has no application named {name!r}: write app = restate.app([...])")
    return found


async def _serve(app: Any, port: int, host: str) -> None:
    from kallback.sdk.serving import end_on_signals, serve_app  # noqa: PLC0415 - names the extra if it is missing

    end = asyncio.Event()
    end_on_signals(end, signal.SIGTERM, signal.SIGINT)
    await serve_app(app, port, end, host=host, log=logging.getLogger("hypercorn.error"))
