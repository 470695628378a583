"""One keep-alive HTTP/1.1 connection: a request is sent, its answer is read, then the next. The parser is llhttp's.

It is a callback protocol, because a coroutine and a timer for each request cost more than the request itself (decision
9). It has a buffer of its own, because asyncio allocates 256 KiB for each read of a protocol without one. The owner
holds the connections, gives each at most one request at a time, and looks for deadlines that have passed.

The other side is not trusted. Of one answer at most `HEAD_LIMIT` and the body's limit are read. When the head is
complete its status counts, however the rest ends. A connection that sends unrequested bytes is dropped, because they
would be taken for the answer to the next request. Interim answers (1xx) are skipped.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, cast

import httptools

from kallback.bridge.restate.requests import ConnectionOwner, HttpAnswer, HttpTimeoutError, OnResult, Request
from kallback.protocol import RestateUnavailableError

HEAD_LIMIT: Final = 65_536
_READ: Final = 8192
_FINAL: Final = 200
_TOO_LARGE: Final = 413


class Http1Connection(asyncio.BufferedProtocol):
    """A connection of an owner.

    Args:
        authority: of the header `host`.

    Attributes:
        deadline: the loop's time at which it expires: of the request, or of idleness.
        listed: the owner knows that it is idle.
        dropped: it takes no more requests.
        answered: it has brought an answer.
        used: it has taken a request.
    """

    def __init__(self, owner: ConnectionOwner, authority: str) -> None:
        self.deadline = math.inf
        self.listed = self.dropped = self.answered = self.used = False
        self._owner = owner
        self._host = f"host: {authority}\r\n"
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._on_result: OnResult | None = None
        self._buffer = memoryview(bytearray(_READ))
        self._status = self._received = self._body_size = 0
        self._retry_after: str | None = None
        self._body: list[bytes] = []
        self._whole = self._reusable = False

    @property
    def capacity(self) -> int:
        """One request at a time."""
        return 0 if self._on_result is not None or self.dropped else 1

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._on_result is not None

    def send(self, request: Request) -> None:
        """Send a request on an idle connection."""
        self.used = True
        self._on_result = request.on_result
        self.deadline = request.deadline
        self._status = self._received = self._body_size = 0
        self._retry_after = None
        if self._body:
            self._body = []
        self._whole = self._reusable = False
        if self._transport is not None:
            self._transport.write(self._bytes_of(request))

    def _bytes_of(self, request: Request) -> bytes:
        head = f"{request.method} {request.path} HTTP/1.1\r\n{self._host}"
        for name, value in request.headers:
            head += f"{name}: {value}\r\n"
        if request.method == "GET":
            return f"{head}\r\n".encode()
        return b"%bcontent-length: %d\r\n\r\n%b" % (head.encode(), len(request.body), request.body)

    def expire(self, now: float) -> None:
        """End it if its deadline has passed."""
        if self.deadline <= now:
            self._end(HttpTimeoutError(f"{self._owner.address} gives no answer in time"))

    def abort(self, why: str) -> None:
        """Close at once, also with a request under way."""
        self._end(self._unusable(why))

    # What asyncio reports.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, TLS included."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's guess
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of an answer, or unrequested ones."""
        self._received += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(self._unusable("that is not HTTP/1.1"))
            return
        if self._whole and self._reusable and self._on_result is not None:
            on_result, self._on_result = self._on_result, None
            answer = self._answer()  # before the connection is free: the next request clears it
            self._owner.freed(self)
            on_result(answer)
        elif self._whole or self._on_result is None or self._received > HEAD_LIMIT + self._owner.body_limit:
            self._end(self._unusable("its answer's head is too large"))

    def eof_received(self) -> None:
        """The other side sends no more."""
        self._end(self._unusable("it closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._end(self._unusable(f"the connection broke: {exc or 'closed'}"))
        self._owner.closed(self)

    # What the parser reports.

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not requested."""
        if self._whole:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head, or a trailer."""
        if len(name) == 11 and not self._status and name.lower() == b"retry-after":  # noqa: PLR2004 - its length
            self._retry_after = value.decode("ascii", "replace")

    def on_headers_complete(self) -> None:
        """The head is complete."""
        status = self._parser.get_status_code()
        if status < _FINAL:
            self._retry_after = None
        elif not self._whole:
            self._status = status

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        remaining = self._owner.body_limit - self._body_size
        if remaining > 0 and not self._whole:
            self._body.append(body[:remaining])
            self._body_size += len(body)

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was an interim one."""
        if self._status and not self._whole:
            self._whole, self._reusable = True, self._parser.should_keep_alive() and self._has_sent_all()

    def _has_sent_all(self) -> bool:
        """Return whether the whole request was sent: the rest of it would be read as the next one."""
        return self._status != _TOO_LARGE and (
            self._transport is not None and self._transport.get_write_buffer_size() == 0
        )

    def _answer(self) -> HttpAnswer:
        self.answered = True
        return HttpAnswer(self._status, self._retry_after, b"".join(self._body) if self._body else b"")

    def _unusable(self, why: str) -> RestateUnavailableError:
        return RestateUnavailableError(f"{self._owner.address} gives no usable answer ({why})")

    def _end(self, failure: RestateUnavailableError) -> None:
        """End the connection; what is known of the answer counts."""
        self.dropped = True
        self._owner.dropped(self)
        if self._transport is not None:
            self._transport.abort()
        on_result, self._on_result = self._on_result, None
        if on_result is not None:
            on_result(self._answer() if self._status else failure)
