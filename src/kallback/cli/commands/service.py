"""`kallback service MODULE:NAME`: a Restate application in one process."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from types import ModuleType
from typing import Any, Final

import click

from kallback.cli.garbage import collect_garbage_seldom
from kallback.cli.help import TextCommand, argument
from kallback.cli.imports import TargetKind, is_factory, is_made_by, load_target, needs_extra
from kallback.cli.listening import listening_options
from kallback.cli.logs import configure_logs
from kallback.cli.observing import verbose_option
from kallback.protocol.errors import ConfigurationError

_PORT: Final = 9080
_CANNOT_LISTEN: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})


@click.command(cls=TextCommand)
@argument("target", metavar="MODULE:NAME", help="Module and name of an application that callbacks.app([...]) made.")
@listening_options(_PORT, "Anyone who can reach it can call every handler.", lowest_port=1)
@verbose_option
def service(target: str, *, port: int, host: str, verbose: bool) -> None:
    """Serve a Restate application over HTTP/2.

    Python looks for MODULE in the current directory first. If handler.py contains `app = callbacks.app([orders])`,
    write handler:app.

    Then register the service with Restate, once: POST {"uri": "http://127.0.0.1:9080"} to its admin API, by default at
    http://localhost:9070/deployments.

    SIGTERM or Ctrl-C ends the process. Restate continues its invocations when a process serves them again.

    For example:

        kallback service handler:app
    """
    configure_logs(verbose=verbose)
    with needs_extra("service"):
        from kallback.sdk import serving  # noqa: PLC0415 - help works without the extra

    app = load_app(target)
    collect_garbage_seldom()
    try:
        asyncio.run(_serve(serving, app, port, host))
    except OSError as error:
        if error.errno not in _CANNOT_LISTEN and not isinstance(error, socket.gaierror):
            raise
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host"
        ) from None


def load_app(target: str) -> Any:
    """Import the application that MODULE:NAME names.

    Raises:
        ConfigurationError: the text has another shape, or there is no such module or name.
    """
    return load_target(target, _APPLICATION)


_APPLICATION: Final = TargetKind(
    accepts=lambda each: callable(each) and not is_factory(each),
    what="an application, which callbacks.app([...]) returns",
    example="handler:app",
    other_command=lambda each: "worker" if is_made_by(each, "kallback.workers") else None,
)


async def _serve(serving: ModuleType, app: Any, port: int, host: str) -> None:
    end = asyncio.Event()
    serving.end_on_signals(end, signal.SIGTERM, signal.SIGINT)
    await serving.serve_app(app, port, end, host=host, log=logging.getLogger("hypercorn.error"))
