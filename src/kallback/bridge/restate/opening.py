"""A connection that is being opened: which version of HTTP it speaks is chosen when its socket is connected."""

from __future__ import annotations

import asyncio
from typing import cast

from kallback.bridge.restate.http1 import Http1Connection
from kallback.bridge.restate.http2.connection import Http2Connection
from kallback.bridge.restate.http2.header_blocks import RequestHeads
from kallback.bridge.restate.requests import ConnectionOwner

_ALPN = "h2"


class Opening(asyncio.Protocol):
    """The protocol of a new socket, until the one of HTTP takes over: before the first byte is read.

    Args:
        authority: host and port as headers have them.
        http2: HTTP/2 may be spoken; with TLS the server chooses.
        streams: maximum number of requests at one time over HTTP/2.

    Attributes:
        ready: ends when requests may be sent; with `NoHttp2Error` if the server does not begin with its SETTINGS.
        connected: the socket is connected, TLS included.
        over_http2: what is spoken.
    """

    def __init__(
        self, owner: ConnectionOwner, authority: str, heads: RequestHeads, *, http2: bool, streams: int
    ) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connected = False
        self.over_http2 = http2
        self._owner = owner
        self._authority = authority
        self._heads = heads
        self._streams = streams
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the socket over."""
        self.connected = True
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        self.over_http2 = self.over_http2 and (tls is None or tls.selected_alpn_protocol() == _ALPN)
        connection: Http1Connection | Http2Connection
        if self.over_http2:
            connection = Http2Connection(self._owner, self._heads, self.ready, streams=self._streams)
        else:
            connection = Http1Connection(self._owner, self._authority)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if not self.over_http2:
            self.ready.set_result(None)

    def end(self) -> None:
        """Close the socket, unless it is ready."""
        if not self.ready.done():
            self.ready.cancel()
        if self._transport is not None and (self.ready.cancelled() or self.ready.exception() is not None):
            self._transport.abort()
