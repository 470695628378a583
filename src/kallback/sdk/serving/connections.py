"""Hypercorn's HTTP/2 connections, as Restate needs them. Only connections that are made here differ from hypercorn's.

Restate multiplexes all invocations over few connections and never closes them. Its documentation asks for connections
without an end and without a bound on streams (`UNLIMITED`). Hypercorn's defaults close a connection at its 1,001st
request, and Restate starts every handler that is open on it a second time. But with these values hypercorn keeps the
buffer and the priority of each stream that Restate resets (a killed invocation), and its priority tree holds 1,000:
after that, invocations hang. So `without_limits` sets the values and `RestateConnection` frees reset streams. Neither
is used without the other.

An invocation is many small messages in both directions. So what all streams send in one turn of the event loop leaves
with one system call, and a message takes neither a buffer nor a task if flow control lets it go at once.

What this relies on is internal to hypercorn; `is_supported` says whether the installed version was tested.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib.metadata import version
from typing import Any, Final, Protocol

from h2.events import DataReceived, Event, PriorityUpdated, StreamReset
from h2.exceptions import ProtocolError
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.events import Event as ServerEvent
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import Body, EndBody
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr  # pyright: ignore[reportUnknownVariableType] - takes any tuple
from priority.priority import MissingStreamError

from kallback.sdk.serving.streams_in_turn import StreamsInTurn

UNLIMITED: Final = 2**31 - 1
"""The value that Restate's documentation asks for."""

_FULL_BYTES: Final = 64 * 1024
"""What a connection may keep: as much as asyncio keeps before it lets senders wait."""

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
    # Restate reads neither header; without them, all answers have the same headers, which HTTP/2 sends as references.
    config.include_date_header = config.include_server_header = False
    return config


class Output(Protocol):
    """Where the bytes of an HTTP/2 connection go."""

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent; what comes after the end of the connection is dropped."""
        ...

    def is_full(self) -> bool:
        """Whether so much is kept that one has to wait."""
        ...


class RestateHttp2(H2Protocol):
    """Hypercorn's HTTP/2 for connections without an end.

    What streams send in one turn of the event loop is sent together, in the order in which h2 has made it. A stream
    that may send does so at once; one that may not yet (flow control, a peer that reads slowly) takes hypercorn's way,
    over its buffer and the task that sends for all streams.

    Args:
        arguments: hypercorn's.
        output: where all bytes go; what is sent over hypercorn's `send` are its other events.
    """

    def __init__(self, *arguments: Any, output: Output) -> None:
        super().__init__(*arguments)
        self.turns: Final = StreamsInTurn()
        # Hypercorn uses no more of a tree.
        self.priority = self.turns  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self._output: Final = output
        self._flushing: asyncio.Handle | None = None
        self._unflushed = 0
        self._forward: Final = self.send
        self.send = self._send_event
        # What is sent comes from Restate's SDK and from hypercorn, which has checked it.
        self.connection.config.validate_outbound_headers = False
        self.connection.config.normalize_outbound_headers = False

    async def handle(self, event: ServerEvent) -> None:
        """Take what came; after the end of the connection, no handler waits for space to send."""
        await super().handle(event)
        if isinstance(event, Closed):
            for stream_id in list(self.stream_buffers):
                await self._release(stream_id)

    async def stream_send(self, event: StreamEvent) -> None:
        """Send what a stream sends."""
        if isinstance(event, Body):
            if self._has_sent(event.stream_id, event.data):
                return
        elif isinstance(event, EndBody) and self._has_ended(event.stream_id):
            return
        await super().stream_send(event)

    async def _handle_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                # Hypercorn resets streams that are opened while it stops, and raises KeyError for their data.
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                continue
            if isinstance(event, PriorityUpdated):
                continue
            await super()._handle_events([event])
            if isinstance(event, StreamReset):
                await self._release(event.stream_id)
        await self._flush()

    async def _send_data(self, stream_id: int) -> None:
        # The stream may be reset while its data is sent: then there is nothing to send any more.
        with contextlib.suppress(KeyError):
            await super()._send_data(stream_id)

    async def _flush(self) -> None:
        """Send what there is after this turn of the event loop, with what others add until then."""
        if self._output.is_full():
            self._flush_now()
            await self._forward(RawData(b""))  # returns when the connection takes more
        else:
            self._flush_soon()

    def _flush_now(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._unflushed = 0
        data = self.connection.data_to_send()
        if data:
            self._output.write(data)

    async def _send_event(self, event: ServerEvent) -> None:
        if isinstance(event, Closed) or self.context.terminated.is_set():
            self._flush_now()
        await self._forward(event)

    def _has_sent(self, stream_id: int, data: bytes) -> bool:
        """Send data if nothing stands before it and flow control allows it."""
        if not self._is_free(stream_id):
            return False
        connection = self.connection
        try:
            if len(data) > min(connection.local_flow_control_window(stream_id), connection.max_outbound_frame_size):
                return False
            connection.send_data(stream_id, data)
        except ProtocolError:
            return False
        self._unflushed += len(data)
        self._flush_soon()
        return True

    def _has_ended(self, stream_id: int) -> bool:
        """End a stream if nothing stands before its end."""
        if not self._is_free(stream_id):
            return False
        try:
            self.connection.end_stream(stream_id)
        except ProtocolError:
            return False
        del self.stream_buffers[stream_id]
        self.turns.remove_stream(stream_id)
        self._flush_soon()
        return True

    def _is_free(self, stream_id: int) -> bool:
        buffer = self.stream_buffers.get(stream_id)
        if buffer is None or buffer.buffer or buffer.complete:
            return False
        return self._unflushed < _FULL_BYTES and not self._output.is_full()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush_now)

    async def _release(self, stream_id: int) -> None:
        """Free what hypercorn keeps of a stream that was reset."""
        buffer = self.stream_buffers.pop(stream_id, None)
        if buffer is not None:
            await buffer.close()
        with contextlib.suppress(MissingStreamError):
            self.turns.remove_stream(stream_id)


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
    """One connection without TLS, from its first byte to its end."""

    _ends = False
    _is_idle = True

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
        except OSError:  # the peer is gone
            pass
        finally:
            await self._close()

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent."""
        if not self.writer.is_closing():
            self.writer.write(data)

    def is_full(self) -> bool:
        """Whether the peer reads more slowly than it is sent to."""
        return self.writer.transport.get_write_buffer_size() > _FULL_BYTES

    async def protocol_send(self, event: ServerEvent) -> None:
        """Send, and take note of idleness; the task group of a connection that ends takes no new task."""
        if not isinstance(event, Updated) or (self.context.terminated.is_set() and event.idle and not self._ends):
            await super().protocol_send(event)
        else:
            self._is_idle = event.idle

    async def _close_when_idle(self) -> None:
        """Hypercorn's watch over the idle time, for connections whose idle time has no limit: one task for its life."""
        await self.context.terminated.wait()
        if self._is_idle:
            await asyncio.shield(self._initiate_server_close())
