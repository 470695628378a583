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

import contextlib
from importlib.metadata import version
from typing import Any, Final

from h2.events import DataReceived, Event, StreamReset
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.events import Event as ServerEvent
from hypercorn.events import RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr  # pyright: ignore[reportUnknownVariableType] - takes any tuple
from priority.priority import MissingStreamError, PriorityTree

UNLIMITED: Final = 2**31 - 1
"""The value that Restate's documentation asks for."""

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
    return config


class RestateHttp2(H2Protocol):
    """Hypercorn's HTTP/2 for connections without an end."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.priority = PriorityTree(maximum_streams=UNLIMITED)

    async def _handle_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                # Hypercorn resets streams that are opened while it stops, and raises KeyError for their data.
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                continue
            await super()._handle_events([event])
            if isinstance(event, StreamReset):
                await self._release(event.stream_id)

    async def _send_data(self, stream_id: int) -> None:
        # The stream may be reset while its data is sent: then there is nothing to send any more.
        with contextlib.suppress(KeyError):
            await super()._send_data(stream_id)

    async def _release(self, stream_id: int) -> None:
        """Free what hypercorn keeps of a stream that was reset."""
        buffer = self.stream_buffers.pop(stream_id, None)
        if buffer is not None:
            await buffer.close()
        with contextlib.suppress(MissingStreamError):
            self.priority.remove_stream(stream_id)


class _RestateProtocol(ProtocolWrapper):
    """Starts as HTTP/1.1, for health checks and the like, and switches to `RestateHttp2`."""

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
        )
        await self.protocol.initiate(headers, settings)
        if data:
            await self.protocol.handle(RawData(data))


class RestateConnection(TCPServer):
    """One connection without TLS, from its first byte to its end."""

    _ends = False

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
                )
                await self.protocol.initiate()
                await self.idle_task.restart(task_group, self._idle_timeout)  # pyright: ignore[reportUnknownMemberType]
                try:
                    await self._read_data()
                finally:
                    self._ends = True
        except OSError:  # the peer is gone
            pass
        finally:
            await self._close()

    async def protocol_send(self, event: ServerEvent) -> None:
        """Send; a connection that ends needs no watch over its idle time, and its task group takes no new task."""
        if not (self._ends and isinstance(event, Updated) and event.idle):
            await super().protocol_send(event)
