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
    from h2.events import DataReceived, Event
    from hypercorn import protocol
    from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType] - its WSGI half is untyped
    from hypercorn.config import Config
    from hypercorn.protocol.h2 import H2Protocol
except ModuleNotFoundError as error:
    raise MissingExtraError('hypercorn is not installed: pip install "kallback[service]"') from error


class _Guarded(H2Protocol):
    """Hypercorn's HTTP/2 without its issue 329: while it ends it resets new streams, and falls over their data.

    Restate opens one whenever an invocation is due; the connection then died with every handler on it, and hypercorn
    waited for ever for what it had forgotten.
    """

    async def _handle_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                self.connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            else:
                await super()._handle_events([event])


protocol.H2Protocol = _Guarded  # type: ignore[attr-defined] # hypercorn looks it up there; there is no other way

LOOPBACK: Final = "127.0.0.1"
GRACE: Final = 1.0
"""Seconds that open handlers get at the end: Restate goes on with them elsewhere, so there is no reason to wait."""

_PATIENCE: Final = 1.0
"""Seconds more until hypercorn is cancelled, whatever it waits for then."""


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
