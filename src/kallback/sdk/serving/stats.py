"""What one server of an application has answered and answers now, as plain numbers that a scrape reads.

The names of services and handlers come from requests, and requests from anyone who can reach the port. A name counts as
one after the application has answered with 200, which Restate's SDK does for its own handlers only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from kallback.health import Phase

OTHER: Final = "(other)"
_MOST_HANDLERS: Final = 100
_OK: Final = 200
_UNANSWERED: Final = "none"

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class CountedHandler(NamedTuple):
    """Labels of a metric."""

    service: str
    handler: str


_NO_HANDLER: Final = CountedHandler(OTHER, OTHER)


class ServiceStats:
    """Counts of one server.

    Attributes:
        phase: where in its life it is.
        connections: that are open.
        requests: that were answered, by handler and HTTP status.
        running: requests of each handler that are being answered. One that Restate has suspended is none.
    """

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.connections = 0
        self.requests: Final = Counter[tuple[CountedHandler, str]]()
        self.running: Final = Counter[CountedHandler]()

    def begin(self, path: str, status: int) -> CountedHandler | None:
        """Take note of the beginning of an answer; returns the handler that runs, None if it is an answer of none."""
        handler = _handler_of(path) if status == _OK else None
        if handler is not None and handler not in self.running and len(self.running) >= _MOST_HANDLERS:
            handler = _NO_HANDLER
        self.requests[handler or _NO_HANDLER, str(status)] += 1
        if handler is not None:
            self.running[handler] += 1
        return handler

    def end(self, handler: CountedHandler) -> None:
        """Take note of the end of a handler's answer."""
        self.running[handler] -= 1

    def left_unanswered(self) -> None:
        """Take note of a request that ended before its answer began."""
        self.requests[_NO_HANDLER, _UNANSWERED] += 1


class CountedApp:
    """An ASGI application whose requests are counted."""

    def __init__(self, app: Any, stats: ServiceStats) -> None:
        self._app: Final = app
        self._stats: Final = stats

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Have the application answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _CountedRequest(self._stats, scope["path"], send)
        try:
            await self._app(scope, receive, request.send)
        finally:
            request.end()


class _CountedRequest:
    def __init__(self, stats: ServiceStats, path: str, send: Send) -> None:
        self._stats: Final = stats
        self._path: Final = path
        self._send: Final = send
        self._began = False
        self._handler: CountedHandler | None = None

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a part of the answer."""
        if not self._began and message["type"] == "http.response.start":
            self._began = True
            self._handler = self._stats.begin(self._path, message["status"])
        await self._send(message)

    def end(self) -> None:
        """Take note of the end, whatever it is."""
        if self._handler is not None:
            self._stats.end(self._handler)
        elif not self._began:
            self._stats.left_unanswered()


def _handler_of(path: str) -> CountedHandler | None:
    """The handler of `.../invoke/SERVICE/HANDLER`, as Restate's SDK reads it."""
    match path.rsplit("/", 3):
        case [*_, "invoke", service, handler]:
            return CountedHandler(service, handler)
        case _:
            return None
