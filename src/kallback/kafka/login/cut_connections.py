"""HTTP connections that another thread can end, at whatever step they are.

Timeouts of sockets bound the wait for the next byte, not the whole: an answer that comes byte by byte would hold its
thread for days.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import urllib.request
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPResponse


class Connections:
    """The sockets of one request. One thread makes them, another one may `cut` them."""

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._copies: Final[list[socket.socket]] = []
        self._is_cut = False

    def connect(self, *arguments: Any, **named: Any) -> socket.socket:
        """Connect as `socket.create_connection` does.

        Raises:
            OSError: it cannot, or comes too late.
        """
        made = socket.create_connection(*arguments, **named)
        with self._lock:
            if self._is_cut:
                made.close()
                raise TimeoutError("too late")
            self._copies.append(made.dup())  # TLS takes the descriptor away from the socket itself
        return made

    def cut(self) -> None:
        """End what is open: whoever reads it gets an error, or the end."""
        with self._lock:
            self._is_cut = True
            while self._copies:
                with self._copies.pop() as copy, contextlib.suppress(OSError):  # it is closed already
                    copy.shutdown(socket.SHUT_RDWR)


class HttpHandler(urllib.request.HTTPHandler):
    """Makes connections that can be cut."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections: Final = connections

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Send a request."""
        return self.do_open(self._made, req)

    def _made(self, host: str, **named: Any) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection(host, **named)
        cast("Any", made)._create_connection = self._connections.connect  # noqa: SLF001 - a test holds this against Python
        return made


class HttpsHandler(urllib.request.HTTPSHandler):
    """As above, over TLS."""

    def __init__(self, connections: Connections, context: ssl.SSLContext) -> None:
        super().__init__()
        self._connections: Final = connections
        self._tls: Final = context

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Send a request."""
        return self.do_open(self._made, req)

    def _made(self, host: str, **named: Any) -> http.client.HTTPSConnection:
        made = http.client.HTTPSConnection(host, context=self._tls, **named)
        cast("Any", made)._create_connection = self._connections.connect  # noqa: SLF001 - as above
        return made
