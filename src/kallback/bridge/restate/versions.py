"""Which version of HTTP the next connection speaks. Pure.

With TLS the server chooses (ALPN). Without, the client begins with HTTP/2 (prior knowledge), and a server that knows it
answers with SETTINGS. Other bytes mean HTTP/1.1 from then on. A server that closes the connection or keeps silent may
be one that just ends: then HTTP/1.1 is tried, and its first answer settles it (`refused_http2`); without one, HTTP/2
is tried again.
"""

from __future__ import annotations


class Versions:
    """What is known of a server.

    Args:
        http2: HTTP/2 may be tried.

    Attributes:
        http2: the next connection begins with HTTP/2.
        settled: that is known to be right.
    """

    def __init__(self, *, http2: bool) -> None:
        self.http2 = http2
        self.settled = not http2

    def speaks_http2(self) -> None:
        """A connection began with SETTINGS."""
        if self.http2:
            self.settled = True

    def refused_http2(self) -> bool:
        """The server said something else than HTTP/2; return whether that is new."""
        new = self.http2 or not self.settled
        self.http2, self.settled = False, True
        return new

    def said_nothing(self) -> bool:
        """A connection for HTTP/2 got no SETTINGS; return whether HTTP/1.1 is worth a try."""
        if self.settled and self.http2:
            return False
        self.http2 = False
        return True

    def failed(self) -> None:
        """HTTP/1.1 was not answered."""
        if not self.settled:
            self.http2 = True
