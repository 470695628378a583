"""`serve_app`: accepts connections until it is asked to end, and ends within a bounded time.

One task per connection, owned by `AcceptedConnections`. When it is to end, it stops listening, open handlers get
`GRACE` seconds, and the tasks of the remaining connections are cancelled. Cancelling `serve_app` ends them at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Final

from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType] - its WSGI half is untyped
from hypercorn.config import Config
from restate.server import install_shutdown_hook

from kallback.health import Phase
from kallback.lifecycle import close_listener
from kallback.sdk.serving.accepted_connections import AcceptedConnections
from kallback.sdk.serving.connections import is_supported, without_limits
from kallback.sdk.serving.stats import CountedApp, ServiceStats
from kallback.settings.addresses import bracketed

LOOPBACK: Final = "127.0.0.1"
GRACE: Final = 1.0
"""Seconds that open handlers get at the end. Restate continues them in another process, so there is no need to wait."""

_CANCEL_TIMEOUT_S: Final = 1.0
"""How long cancelled connections may take to end."""

_log: Final = logging.getLogger(__name__)


def end_on_signals(end: asyncio.Event, *signals: signal.Signals) -> None:
    """Have these signals set `end`. Restate's SDK replaces a plain handler for SIGTERM at its first request."""
    for number in signals:
        install_shutdown_hook(asyncio.get_running_loop(), end.set, number)


async def serve_app(
    app: Any,
    port: int,
    end: asyncio.Event,
    *,
    host: str = LOOPBACK,
    log: logging.Logger | None = None,
    stats: ServiceStats | None = None,
) -> None:
    """Serve an application until `end` is set.

    Args:
        app: the return value of `restate.app([...])`.
        port: port to listen on.
        end: set it to end.
        host: address to listen on. Default loopback: anyone who can reach the port can call every handler.
        log: receives hypercorn's own log lines; None drops them.
        stats: what is counted; None counts no requests.

    Raises:
        OSError: the address cannot be used.
    """
    config = Config()
    config.bind = [f"{bracketed(host)}:{port}"]
    config.errorlog = log
    config.graceful_timeout = GRACE
    if stats is None:
        stats = ServiceStats()
    else:
        app = CountedApp(app, stats)
    try:
        await _serve(app, config, end, stats)
    finally:
        stats.phase = Phase.STOPPED


async def _serve(app: Any, config: Config, end: asyncio.Event, stats: ServiceStats) -> None:
    if is_supported():
        await _serve_connections(app, without_limits(config), end, stats)
        return
    _log.warning(
        "hypercorn %s is not supported: it closes each connection after %d requests, and Restate then starts the open "
        "handlers again; install hypercorn 0.17 or 0.18",
        version("hypercorn"),
        config.keep_alive_max_requests,
    )
    await _serve_plainly(app, config, end, stats)


async def _serve_connections(app: Any, config: Config, end: asyncio.Event, stats: ServiceStats) -> None:
    connections = AcceptedConnections(app, config, stats)
    [socket] = config.create_sockets().insecure_sockets
    server = await asyncio.start_server(connections.accept, backlog=config.backlog, sock=socket)
    await config.log.info("Running on http://%s", config.bind[0])
    stats.phase = Phase.RUNNING
    try:
        await end.wait()
        stats.phase = Phase.DRAINING
        await connections.close_when_idle()
        await close_listener(server)
        await connections.ended(GRACE)
    finally:
        await close_listener(server)
        await connections.close(_CANCEL_TIMEOUT_S)


async def _serve_plainly(app: Any, config: Config, end: asyncio.Event, stats: ServiceStats) -> None:
    """Serve with an untested version of hypercorn as it is, with its own limits."""
    serving = asyncio.create_task(serve(_with_lifespan(app), config, shutdown_trigger=end.wait), name="hypercorn")
    ending = asyncio.create_task(end.wait(), name="hypercorn-end")
    stats.phase = Phase.RUNNING
    try:
        await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        if end.is_set():
            stats.phase = Phase.DRAINING
            await asyncio.wait({serving}, timeout=GRACE + _CANCEL_TIMEOUT_S)
    finally:
        ending.cancel()
        serving.cancel()
        await asyncio.wait({serving, ending})
    failure = None if serving.cancelled() else serving.exception()
    if failure is not None and not end.is_set():
        raise failure


def _with_lifespan(app: Any) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Answer ASGI's lifespan, which Restate's application does not support: hypercorn would warn at each start."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})

    return answer
