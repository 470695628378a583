"""Hypercorn's HTTP/2 connections, as Restate needs them. Only connections that are made here differ from hypercorn's.

Restate multiplexes all invocations over few connections and never closes them. Its documentation asks for connections
without an end and without a bound on streams (`UNLIMITED`). Hypercorn's defaults close a connection at its 1,001st
request, and Restate starts every handler that is open on it a second time. But with these values hypercorn keeps the
buffer and the priority of each stream that Restate resets (a killed invocation), and its priority tree holds 1,000:
after that, invocations hang. So `without_limits` sets the values and `RestateConnection` frees reset streams. Neither
is used without the other.

What this relies on is internal to hypercorn; `is_supported` says whether the installed version was tested.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib.metadata import version
from typing import Any, Final

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.events import Event as ServerEvent
from hypercorn.events import RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr  # pyright: ignore[reportUnknownVariableType] - takes any tuple

from kallback.sdk.serving.connections_in_turn import ConnectionsInTurn
from kallback.sdk.serving.http2 import FULL_BYTES, Output, RestateHttp2

UNLIMITED: Final = 2**31 - 1
"""The value that Restate's documentation asks for."""

_CLOSE_TIMEOUT_S: Final = 5.0

_SUPPORTED: Final = ((0, 17), (0, 18))
"""Versions of hypercorn with which the unit tests of this module passed."""


def is_supported(installed: str | None = None) -> bool:
    """Whether the classes of this module fit the installed version of hypercorn."""
    parts = (installed or version("hypercorn")).split(".")
    return tuple(int(part) if part.isdecimal() else -1 for part in parts[:2]) in _SUPPORTED


def without_limits(config: Config) -> Config:
    """Set what Restate asks for; only for `RestateConnection`."""
    config.keep_alive_max_requests = UNLIMITED
    config.h2_max_concurrent_streams = UNLIMITED
    config.keep_alive_timeout = UNLIMITED
    # A stream whose application does not read what came would make all streams of its connection wait. Restate's SDK
    # takes everything in at once, so this keeps no more.
    config.max_app_queue_size = UNLIMITED
    # Restate reads neither header; without them, all answers have the same headers, which HTTP/2 sends as references.
    config.include_date_header = config.include_server_header = False
    return config


class _RestateProtocol(ProtocolWrapper):
    """Starts as HTTP/1.1, for health checks and the like, and switches to `RestateHttp2`."""

    def __init__(self, *arguments: Any, output: Output) -> None:
        super().__init__(*arguments)
        self._output: Final = output

    async def handle(self, event: ServerEvent) -> None:
        try:
            await self.protocol.handle(event)
        except H2ProtocolAssumedError as error:
            await self._switch(None, None, error.data)
        except H2CProtocolRequiredError as error:
            await self._switch(error.headers, error.settings, error.data)

    async def _switch(self, headers: Any, settings: Any, data: bytes) -> None:
        self.protocol = RestateHttp2(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.state,
            self.ssl,
            self.client,
            self.server,
            self.send,
            output=self._output,
        )
        await self.protocol.initiate(headers, settings)
        if data:
            await self.protocol.handle(RawData(data))


class RestateConnection(TCPServer):
    """One connection without TLS, from its first byte to its end.

    Args:
        arguments: hypercorn's.
        turns: of all connections of the server.
    """

    _ends = False
    _is_idle = True
    was_used = False
    """Whether there was a request."""

    def __init__(self, *arguments: Any, turns: ConnectionsInTurn) -> None:
        super().__init__(*arguments)
        self._turns: Final = turns

    async def run(self) -> None:
        """Serve until either side closes it."""
        socket = self.writer.get_extra_info("socket")
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
            async with TaskGroup(self.loop) as task_group:
                self._task_group = task_group
                self.protocol = _RestateProtocol(
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState(self.state.copy()),
                    False,  # noqa: FBT003 - the parameter `ssl`, which cannot be given by name in all versions
                    client,
                    server,
                    self.protocol_send,
                    output=self,
                )
                await self.protocol.initiate()
                await self.idle_task.restart(task_group, self._close_when_idle)  # pyright: ignore[reportUnknownMemberType]
                try:
                    await self._read_data()
                finally:
                    self._ends = True
                    await self.idle_task.stop()  # the group waits for all its tasks
                    self.writer.close()  # applications may take their time to end
        except OSError:  # the peer is gone
            pass
        finally:
            await self._end()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self._is_idle

    def abort(self) -> None:
        """Close at once; what the peer has not read is lost."""
        self.writer.transport.abort()

    async def _end(self) -> None:
        """Close; a peer that does not read what is left gets a bounded time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._close()
        self.abort()

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""
        if not self.writer.is_closing():
            self.writer.write(data)

    def is_full(self) -> bool:
        """Whether the peer reads more slowly than it is sent to."""
        return self.writer.transport.get_write_buffer_size() > FULL_BYTES

    async def turn(self) -> None:
        """Let other connections go on."""
        await self._turns.next()

    async def protocol_send(self, event: ServerEvent) -> None:
        """Send, and take note of idleness; the task group of a connection that ends takes no new task."""
        self.was_used = self.was_used or isinstance(event, Updated)
        if not isinstance(event, Updated) or (self.context.terminated.is_set() and event.idle and not self._ends):
            await super().protocol_send(event)
        else:
            self._is_idle = event.idle

    async def _close_when_idle(self) -> None:
        """Hypercorn's watch over the idle time, for connections whose idle time has no limit: one task for its life."""
        await self.context.terminated.wait()
        if self._is_idle:
            await asyncio.shield(self._initiate_server_close())
