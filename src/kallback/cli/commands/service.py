"""`kallback service MODULE:NAME`: a Restate application in one process."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from contextlib import AsyncExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import click

from kallback.cli.garbage import collect_garbage_seldom
from kallback.cli.help import TextCommand, argument
from kallback.cli.imports import TargetKind, is_factory, is_made_by, load_target, needs_extra
from kallback.cli.listening import listening_options
from kallback.cli.logs import configure_logs
from kallback.cli.observing import health_host_option, health_port_option, verbose_option
from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from kallback.sdk.serving.observability import ServiceHealthServer

_PORT: Final = 9080
_CANNOT_LISTEN: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})


@click.command(cls=TextCommand)
@argument("target", metavar="MODULE:NAME", help="Module and name of an application that callbacks.app([...]) made.")
@listening_options(_PORT, "Anyone who can reach it can call every handler.", lowest_port=1)
@health_port_option
@health_host_option
@verbose_option
def service(target: str, *, port: int, host: str, health_port: int | None, health_host: str, verbose: bool) -> None:
    """Serve a Restate application over HTTP/2.

    Python looks for MODULE in the current directory first. If handler.py contains `app = callbacks.app([orders])`,
    write handler:app.

    Then register the service with Restate, once: POST {"uri": "http://127.0.0.1:9080"} to its admin API, by default at
    http://localhost:9070/deployments.

    SIGTERM or Ctrl-C ends the process. Restate continues its invocations when a process serves them again.

    For example:

        kallback service handler:app --health-port 9464
    """
    configure_logs(verbose=verbose)
    with needs_extra("service"):
        from kallback.sdk import serving  # noqa: PLC0415 - help works without the extra

    app = load_app(target)
    collect_garbage_seldom()
    health = None if health_port is None else _health_of(app, health_port, health_host)
    try:
        asyncio.run(_serve(serving, app, health, port=port, host=host))
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


def _health_of(app: Any, port: int, host: str) -> ServiceHealthServer:
    with needs_extra("service"):  # costs memory, and is optional
        from kallback.sdk.observability.counts import counts_of  # noqa: PLC0415
        from kallback.sdk.serving.observability import ServiceHealthServer  # noqa: PLC0415
    return ServiceHealthServer(counts_of(app), port, host)


async def _serve(serving: ModuleType, app: Any, health: ServiceHealthServer | None, *, port: int, host: str) -> None:
    """Serve until a signal comes. The health port answers before that and until it is over."""
    end = asyncio.Event()
    serving.end_on_signals(end, signal.SIGTERM, signal.SIGINT)
    stats = None if health is None else health.stats
    async with AsyncExitStack() as stack:
        if health is not None:
            await stack.enter_async_context(health)
        log = logging.getLogger("hypercorn.error")
        await serving.serve_app(app, port, end, host=host, log=log, stats=stats)
