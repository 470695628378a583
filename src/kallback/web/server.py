"""Listens for clients, and bounds how many there are.

When all connections are taken, the one that has waited longest for its client is closed: so clients that connect and
send nothing cannot keep others out. A connection whose request is being answered is left alone.

Ownership: the server owns one task per connection; `stop` ends them all. Order of a stop: no further connections, idle
ones are closed, requests that are being answered get the drain's time, then everything is closed.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final, Generic, TypeVar

from kallback.lifecycle import StartStop, close_listener
from kallback.protocol import ConfigurationError
from kallback.settings import named_log
from kallback.web.connection import AnswersRequests, ClientConnection
from kallback.web.options import ServerOptions, ServerStats

_log: Final = named_log("kallback.web")
_ABORT_TIMEOUT_S: Final = 1.0
_READ_LIMIT: Final = 64 * 1024

Admitted = TypeVar("Admitted")


class WebServer(StartStop, Generic[Admitted]):
    """Serves one port.

    Args:
        handler: what decides and acts on requests.
    """

    def __init__(self, handler: AnswersRequests[Admitted], options: ServerOptions, stats: ServerStats) -> None:
        self._handler: Final = handler
        self._options: Final = options
        self._stats: Final = stats
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], ClientConnection[Admitted]] = {}
        self._stopping = False

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._options.port if self._server is None else int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the port is taken or not allowed.
        """
        host, port = self._options.host, self._options.port
        try:
            self._server = await asyncio.start_server(self._accept, host, port, limit=_READ_LIMIT)
        except (OSError, OverflowError) as error:
            number = error.errno if isinstance(error, OSError) else None
            reason = os.strerror(number) if number is not None and number > 0 else str(error)
            raise ConfigurationError(
                f"cannot listen on {host}:{port} ({reason}): choose another --port or --host"
            ) from None

    async def stop(self) -> None:
        """Answer what is complete, within the drain's time, and close; stopping twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        self._stopping = True
        await close_listener(server)
        for connection in self._connections.values():
            if not connection.answering:
                connection.abort()
        await self._ended(self._options.drain_timeout)
        if self._connections:
            _log.warning("drain timed out: requests are not answered", requests=len(self._connections))
        for task, connection in tuple(self._connections.items()):
            connection.abort()
            task.cancel()
        await self._ended(_ABORT_TIMEOUT_S)

    async def _ended(self, seconds: float) -> None:
        if self._connections:
            await asyncio.wait(tuple(self._connections), timeout=seconds)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._options.max_connections and not self._close_waiting():
            self._stats.closed_connections += 1
            writer.transport.abort()
            return
        connection = ClientConnection(reader, writer, self._handler, self._options, self._stats, lambda: self._stopping)
        task = asyncio.create_task(connection.serve(), name="kallback-web-connection")
        self._connections[task] = connection
        self._stats.connections = len(self._connections)
        task.add_done_callback(self._leave)

    def _close_waiting(self) -> bool:
        """Close the connection that has waited longest for its client; return whether there was one."""
        for task, connection in self._connections.items():
            if not connection.answering:
                connection.abort()
                self._leave(task)
                self._stats.closed_connections += 1
                return True
        return False

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        self._stats.connections = len(self._connections)
