"""Hypercorn's HTTP/2, as Restate needs it: connections without an end, with any number of streams.

An invocation is many small messages in both directions. So what all streams send in one turn of the event loop leaves
with one system call, and a message takes neither a buffer nor a task if flow control lets it go at once.

The peer is not trusted to be Restate. Whatever it sends, only its own connection suffers: no stream makes another one
wait, what one turn of the event loop takes is bounded, and what a stream leaves behind is freed.

What this relies on is internal to hypercorn; `is_supported` of `connections` says whether the installed version was
tested.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, Protocol

from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, PriorityUpdated, RemoteSettingsChanged, RequestReceived, StreamReset
from h2.exceptions import ProtocolError
from hypercorn.events import Closed, RawData
from hypercorn.events import Event as ServerEvent
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol
from priority.priority import MissingStreamError

from kallback.sdk.serving.http2_state import ManyStreamsConnection
from kallback.sdk.serving.streams_in_turn import StreamsInTurn

FULL_BYTES: Final = 64 * 1024
"""What a connection may keep: as much as asyncio keeps before it lets senders wait."""

_PART_BYTES: Final = 4 * 1024
"""Taken in at once: 300 frames that h2 has to look into, which takes 10 ms; or a part of one large message."""

_TURN_S: Final = 0.005
"""After so many seconds, other connections go on before the next part is taken in."""

_TURN_REQUESTS: Final = 20
"""Begun at once: a request costs up to a millisecond."""

_MAX_SETTINGS: Final = 1_000
"""Of a connection: each change of the window is a look at all its streams, and peers make a few."""

_OF_HTTP1: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Headers that HTTP/2 forbids (RFC 9113, 8.2.2): a peer may close the connection for one. Hypercorn sends the first."""


class Output(Protocol):
    """Where the bytes of an HTTP/2 connection go."""

    def write(self, data: bytes) -> None:
        """Send, or keep until it can be sent; what comes after the end of the connection is dropped."""
        ...

    def is_full(self) -> bool:
        """Whether so much is kept that one has to wait."""
        ...

    async def turn(self) -> None:
        """Let other connections go on."""
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
        self.connection = ManyStreamsConnection.like(self.connection)
        self.turns: Final = StreamsInTurn()
        # Hypercorn uses no more of a tree.
        self.priority = self.turns  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self._output: Final = output
        self._flushing: asyncio.Handle | None = None
        self._unflushed = 0
        self._settings_left = _MAX_SETTINGS
        self._is_over = False
        self._buffered = set[int]()
        self._forward: Final = self.send
        self.send = self._send_event
        # What is sent comes from Restate's SDK and from hypercorn, which has checked it.
        self.connection.config.validate_outbound_headers = False
        self.connection.config.normalize_outbound_headers = False

    async def handle(self, event: ServerEvent) -> None:
        """Take what came, in small parts; after the end of the connection, no handler waits for space to send."""
        if not isinstance(event, RawData):
            await super().handle(event)
        else:
            await self._take(event.data)
        if isinstance(event, Closed):
            for stream_id in list(self.stream_buffers):
                await self._release(stream_id)

    async def _take(self, data: bytes) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        for start in range(0, len(data), _PART_BYTES):
            if clock() - began > _TURN_S:
                await self._output.turn()
                began = clock()
            if self._is_over:
                return
            await super().handle(RawData(data[start : start + _PART_BYTES]))

    async def stream_send(self, event: StreamEvent) -> None:
        """Send what a stream sends."""
        if isinstance(event, Body):
            if self._has_sent(event.stream_id, event.data):
                return
            self._buffered.add(event.stream_id)
        elif isinstance(event, EndBody):
            if self._has_ended(event.stream_id):
                return
        elif isinstance(event, Response):
            event.headers[:] = [each for each in event.headers if each[0] not in _OF_HTTP1]
        await super().stream_send(event)
        if isinstance(event, StreamClosed):
            await self._reset_unfinished(event.stream_id)

    async def _handle_events(self, events: list[Event]) -> None:
        requests = 0
        for event in events:
            if isinstance(event, RequestReceived):
                requests += 1
                if requests > _TURN_REQUESTS:
                    requests = 1
                    await self._output.turn()
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                # Hypercorn resets streams that are opened while it stops, and raises KeyError for their data.
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                continue
            if isinstance(event, PriorityUpdated) or (isinstance(event, RequestReceived) and self._is_refused(event)):
                continue
            await super()._handle_events([event])
            if isinstance(event, StreamReset):
                await self._release(event.stream_id)
            elif isinstance(event, RemoteSettingsChanged):
                self._settings_left -= 1
        if self._settings_left < 0:
            with contextlib.suppress(ProtocolError):
                self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self.send(Closed())
            return
        await self._flush()

    async def _window_updated(self, stream_id: int | None) -> None:
        """Go on with what waits for space; hypercorn would have all streams looked at."""
        for each in (stream_id,) if stream_id else tuple(self._buffered):
            buffer = self.stream_buffers.get(each)
            if buffer is not None and buffer.buffer:
                self.turns.unblock(each)
            else:
                self._buffered.discard(each)
        await self.has_data.set()

    async def _send_data(self, stream_id: int) -> None:
        # The stream may be reset while its data is sent: then there is nothing to send any more.
        with contextlib.suppress(KeyError):
            if self._lacks_window(stream_id):
                self.turns.block(stream_id)  # hypercorn would let the application go on, and keep all that it sends
            else:
                await super()._send_data(stream_id)

    def _lacks_window(self, stream_id: int) -> bool:
        """Whether a stream waits for the peer to take data."""
        if not self.stream_buffers[stream_id].buffer:
            return False
        try:
            return self.connection.local_flow_control_window(stream_id) <= 0
        except ProtocolError:
            return False

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
        self._is_over = self._is_over or isinstance(event, Closed)
        if self._is_over or self.context.terminated.is_set():
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
        return self._unflushed < FULL_BYTES and not self._output.is_full()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush_now)

    def _is_refused(self, request: RequestReceived) -> bool:
        """Refuse what hypercorn or Restate's SDK would fail at: texts that are none, and WebSockets."""
        if _is_readable(request.headers or ()):
            return False
        with contextlib.suppress(ProtocolError):
            self.connection.send_headers(request.stream_id, [(b":status", b"400")], end_stream=True)
            self.connection.reset_stream(request.stream_id, ErrorCodes.NO_ERROR)
        return True

    async def _reset_unfinished(self, stream_id: int) -> None:
        """Reset a stream whose application failed in the middle: otherwise the peer would wait for more."""
        buffer = self.stream_buffers.get(stream_id)
        if buffer is None:
            self._buffered.discard(stream_id)
            return
        if buffer.complete or self.closed or self.context.terminated.is_set():
            return
        with contextlib.suppress(ProtocolError):
            self.connection.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
        await self._release(stream_id)
        await self._flush()

    async def _release(self, stream_id: int) -> None:
        """Free what hypercorn keeps of a stream that was reset."""
        self._buffered.discard(stream_id)
        buffer = self.stream_buffers.pop(stream_id, None)
        if buffer is not None:
            await buffer.close()
        with contextlib.suppress(MissingStreamError):
            self.turns.remove_stream(stream_id)


def _is_readable(headers: Any) -> bool:
    try:
        for name, value in headers:
            if name in {b":method", b":path"}:
                value.decode("ascii")
                if value == b"CONNECT":
                    return False
            else:
                value.decode()
    except UnicodeDecodeError:
        return False
    return True
