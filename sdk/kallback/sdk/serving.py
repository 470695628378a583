"""Serves a Restate application over HTTP/2, with hypercorn: `kallback service MODULE:NAME`, and the tests.

Restate talks to handlers over bidirectional HTTP/2 streams; of the usual ASGI servers, hypercorn has them.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any, Final

from restate.server import install_shutdown_hook

from kallback.protocol.errors import MissingExtraError

try:
    from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType] - its WSGI half is untyped
    from hypercorn.config import Config
except ModuleNotFoundError as error:
    raise MissingExtraError('hypercorn is not installed: pip install "kallback[service]"') from error

LOOPBACK: Final = "127.0.0.1"
GRACE: Final = 1.0
"""Seconds that open handlers get at the end: Restate goes on with them elsewhere, so there is no reason to wait."""

_PATIENCE: Final = 1.0
"""Seconds more until hypercorn is cancelled: a stream that is opened while it ends can make it wait for ever."""


def end_on_signals(end: asyncio.Event, *signals: signal.Signals) -> None:
    """Have these set `end`. Restate's SDK replaces a plain handler for SIGTERM by its own, at its first request."""
    for number in signals:
        install_shutdown_hook(asyncio.get_running_loop(), end.set, number)


async def serve_app(
    app: Any, port: int, end: asyncio.Event, *, host: str = LOOPBACK, log: logging.Logger | None = None
) -> None:
    """Serve an application until it is to end.

    Args:
        app: what `restate.app([...])` returns.
        port: where to listen.
        end: set it, and serving ends.
        host: address to listen on. Default loopback: who reaches the port can call every handler.
        log: takes what hypercorn says of itself; None: nobody.
    """
    config = Config()
    config.bind = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    config.errorlog = log
    config.graceful_timeout = GRACE
    serving = asyncio.create_task(serve(_Whole(app), config, shutdown_trigger=end.wait), name="kallback-serving")
    ending = asyncio.create_task(end.wait(), name="kallback-serving-ends")
    try:
        await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        if end.is_set():
            await asyncio.wait({serving}, timeout=GRACE + _PATIENCE)
    finally:
        ending.cancel()
        serving.cancel()
        await asyncio.wait({serving, ending})
    failure = None if serving.cancelled() else serving.exception()
    if failure is not None and not end.is_set():
        raise failure


class _Whole:
    """Answers ASGI's lifespan, which Restate's application does not know: hypercorn would warn at each start."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
