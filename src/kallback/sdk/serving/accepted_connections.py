"""The connections of one server: what is accepted, how many there are, and how they end.

Restate has few connections. Others, that send nothing or never end, cannot keep it out, nor take all the files that the
process may open: when there are too many, one on which nothing is being answered is closed for the new one.

Ownership: one task per connection. Whatever a connection ends with, its socket is closed then.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config

from kallback.sdk.serving.connections import RestateConnection
from kallback.sdk.serving.connections_in_turn import ConnectionsInTurn
from kallback.sdk.serving.stats import ServiceStats

MAX_CONNECTIONS: Final = 500
"""Half of the files that a process may open on most systems."""


class AcceptedConnections:
    """Serves one application on each connection that is accepted.

    Args:
        app: the application.
        config: hypercorn's.
        stats: gets the number of connections.
    """

    def __init__(self, app: Any, config: Config, stats: ServiceStats) -> None:
        self._app: Final = ASGIWrapper(app)
        self._config: Final = config
        self._stats: Final = stats
        self._context: Final = WorkerContext(None)
        self._turns: Final = ConnectionsInTurn()
        self._connections: Final = dict[asyncio.Task[None], RestateConnection]()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until it ends; asyncio calls this in a task of its own."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("asyncio accepts a connection in a task")
        if len(self._connections) >= MAX_CONNECTIONS and not self._close_idle():
            writer.transport.abort()
            return
        loop = asyncio.get_running_loop()
        connection = RestateConnection(
            self._app, loop, self._config, self._context, {}, reader, writer, turns=self._turns
        )
        self._connections[task] = connection
        self._stats.connections += 1
        try:
            with contextlib.suppress(asyncio.CancelledError):  # asyncio logs a cancelled connection as an error
                await connection
        except Exception as error:  # noqa: BLE001 - a defect must not end as an exception that is never retrieved
            await self._config.log.warning("a connection failed: %r", error)
        finally:
            connection.abort()
            self._connections.pop(task, None)
            self._stats.connections -= 1

    async def close_when_idle(self) -> None:
        """Close each connection as soon as nothing is being answered on it, and take no further requests."""
        await self._context.terminated.set()

    async def ended(self, timeout: float) -> None:  # noqa: ASYNC109 - `wait` has one, too
        """Wait for the ends of all connections, for at most so many seconds."""
        if self._connections:
            await asyncio.wait(tuple(self._connections), timeout=timeout)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - as above
        """End all connections; those whose handlers do not end in time are closed under them."""
        for task in tuple(self._connections):
            task.cancel()
        await self.ended(timeout)
        for connection in self._connections.values():
            connection.abort()
        await asyncio.sleep(0)  # sockets are closed in the next turn

    def _close_idle(self) -> bool:
        """Close the oldest connection on which nothing is being answered, best one that never asked for anything."""
        idle = [(task, each) for task, each in self._connections.items() if each.is_idle]
        if not idle:
            return False
        task, connection = next((each for each in idle if not each[1].was_used), idle[0])
        del self._connections[task]
        connection.abort()
        return True
