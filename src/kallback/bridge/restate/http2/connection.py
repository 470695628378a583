"""One HTTP/2 connection of asyncio: many requests at a time, and one write for all that one read leads to."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import Iterable
from typing import Final, cast

from kallback.bridge.restate.http2.header_blocks import RequestHeads
from kallback.bridge.restate.http2.state import ConnectionState
from kallback.bridge.restate.http2.streams import Stream, StreamEnd
from kallback.bridge.restate.requests import ConnectionOwner, HttpAnswer, HttpTimeoutError, NoHttp2Error, Request
from kallback.protocol import RestateUnavailableError

_READ: Final = 65_536
_ACKNOWLEDGE_AT_ONCE: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Linux only. Elsewhere the pool's several connections are what keeps Restate's answers coming."""


class Http2Connection(asyncio.BufferedProtocol):
    """A connection of an owner.

    Args:
        ready: ended when the server's SETTINGS are there, or do not come.
        streams: maximum number of requests at one time.

    Attributes:
        deadline: the loop's time at which it is closed if it has nothing to do then.
        listed: the owner knows that it has room.
        answered: it has brought an answer.
        used: it has taken a request.
    """

    def __init__(
        self, owner: ConnectionOwner, heads: RequestHeads, ready: asyncio.Future[None], *, streams: int
    ) -> None:
        self.deadline = math.inf
        self.listed = self.answered = self.used = False
        self._owner = owner
        self._heads = heads
        self._ready = ready
        self._most = streams
        self._state = ConnectionState(owner.body_limit)
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(_READ))
        self._writing_later = False

    @property
    def capacity(self) -> int:
        """How many more requests it takes: what the server allows, up to the maximum; none while it reads nothing."""
        state = self._state
        return 0 if state.out.paused else max(0, min(state.capacity, self._most - len(state.streams)))

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._state.streams)

    def send(self, request: Request) -> None:
        """Send a request; it is written together with others of this turn of the loop."""
        self.used = True
        body = request.body
        size = None if request.method == "GET" else len(body)
        self._state.send(request, self._heads.write(request.method, request.path, request.headers, size), body)
        if not self._writing_later:
            self._writing_later = True
            self._loop.call_soon(self._write)

    def expire(self, now: float) -> None:
        """End the requests that have passed their deadline, and take no more; or close if idle for too long."""
        state = self._state
        late = [number for number, stream in state.streams.items() if stream.request.deadline <= now]
        if late:
            state.retire()
            self._owner.dropped(self)
            for number in late:
                stream = state.cancel(number)
                if stream is not None:
                    error = HttpTimeoutError(f"{self._owner.address} gives no answer in time")
                    self._tell(stream, error)
        elif not state.streams and self.deadline <= now:
            state.retire()
        self._write()

    def abort(self, why: str) -> None:
        """Close at once, also with requests under way."""
        self._end(self._state.lost(why))
        self._write()

    # What asyncio reports.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, TLS included: begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")
        self._write()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's guess
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come: tell what ended, then write everything that this leads to at once."""
        self._acknowledge()
        state = self._state
        began, before = state.ready, state.capacity
        self._writing_later = True
        try:
            ended = state.receive(bytes(self._buffer[:nbytes]))
            if not began:
                self._begin()
            if ended or state.needs_http1:
                self._end(ended)
            elif state.capacity > before:
                self._owner.freed(self)
            if not state.open:
                self._owner.dropped(self)
        finally:
            self._write()

    def _acknowledge(self) -> None:
        """Have the kernel acknowledge what has come, or Restate would hold its next answers back for up to 40 ms.

        Restate leaves Nagle's algorithm on (RFC 896): it sends no further small answer before the last one is
        acknowledged. Linux forgets this option after some packets (tcp(7)), so it is set for each read.
        """
        if self._socket is not None and _ACKNOWLEDGE_AT_ONCE is not None:
            with contextlib.suppress(OSError):  # a socket that is closed
                self._socket.setsockopt(socket.IPPROTO_TCP, _ACKNOWLEDGE_AT_ONCE, 1)

    def pause_writing(self) -> None:
        """The other side reads too slowly."""
        self._state.out.paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._state.out.paused = False
        self._state.out.send_bodies()
        self._owner.freed(self)
        self._write()

    def eof_received(self) -> None:
        """The other side sends no more."""
        self.abort("it closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        if not self._ready.done():
            self._ready.set_exception(NoHttp2Error(said_something=False))
        self._end(self._state.lost(f"the connection broke: {exc or 'closed'}"))
        self._owner.closed(self)

    def _begin(self) -> None:
        """The first bytes have come."""
        if self._ready.done():
            return
        if self._state.failure:
            self._ready.set_exception(NoHttp2Error(said_something=True))
        elif self._state.ready:
            self._ready.set_result(None)
            self._owner.opened(self)

    def _end(self, ended: Iterable[StreamEnd]) -> None:
        state = self._state
        if state.needs_http1:
            self._owner.refused_http2()
        if state.open:
            self._owner.freed(self)
        else:
            self._owner.dropped(self)
        for stream, failure, unprocessed in ended:
            if unprocessed:
                self._owner.again(stream.request, failure)
            else:
                error = RestateUnavailableError(f"{self._owner.address} gives no usable answer ({failure})")
                self._tell(stream, error)

    def _tell(self, stream: Stream, error: RestateUnavailableError) -> None:
        """What is known of the answer counts, however the stream ended."""
        if stream.status:
            self.answered = True
            body = b"".join(stream.body) if stream.body else b""
            stream.request.on_result(HttpAnswer(stream.status, stream.retry_after, body))
        else:
            stream.request.on_result(error)

    def _write(self) -> None:
        """Write what there is; close when nothing can come any more."""
        self._writing_later = False
        state, transport = self._state, self._transport
        if transport is None:
            return
        out = state.out.take()
        if out and not transport.is_closing():
            transport.write(out)
        if state.failure or (not state.open and not state.streams):
            transport.abort()
