"""One connection of a client: requests and answers of HTTP/1.1, one after the other. The parser is h11.

The client is not trusted. A request has a bound on its head, its body and its time, counted from its first byte or from
the end of the request before; bodies of all connections share one bound. A body is read only after its head was
admitted. After a refusal that leaves a part of the request unread, the connection is closed, but what the client still
sends is read for a moment: otherwise the client would see a reset connection in place of the answer.

Ownership: one task per connection, which its server owns. Cancellation ends it at once, and the answer that is being
made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Generic, Protocol, TypeVar

import h11

from kallback.lifecycle import LogThrottle
from kallback.settings import named_log
from kallback.web.messages import (
    HttpHead,
    HttpResponse,
    RefusedRequestError,
    broken,
    busy,
    internal,
    too_large,
    too_slow,
)
from kallback.web.options import ServerOptions, ServerStats

HEAD_LIMIT: Final = 16 * 1024
_READ: Final = 16 * 1024
_SEND_TIMEOUT_S: Final = 5.0
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 1024 * 1024
_throttle: Final = LogThrottle(named_log("kallback.web"))


Admitted = TypeVar("Admitted")
"""What a head was found to be, which the body belongs to."""


class AnswersRequests(Protocol[Admitted]):
    """What decides and acts on requests."""

    def admit(self, head: HttpHead, peer: str) -> Admitted | HttpResponse:
        """Decide by the head; raises `RefusedRequestError`."""
        ...

    async def answer(self, request: Admitted, body: bytes) -> HttpResponse:
        """Act on the body; raises `RefusedRequestError`."""
        ...

    def refuse(self, request: Admitted | None, response: HttpResponse) -> HttpResponse:
        """Return what a client is told of a refusal, whose body is a problem object; None: no head was admitted."""
        ...

    def count(self, request: Admitted | None, response: HttpResponse) -> None:
        """Count an answer."""
        ...


class ClientConnection(Generic[Admitted]):
    """Serves one connection until either side closes it.

    Args:
        handler: what decides and acts on requests.
        is_stopping: whether the server accepts no further requests.

    Attributes:
        answering: whether a request is complete and its answer is being made.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handler: AnswersRequests[Admitted],
        options: ServerOptions,
        stats: ServerStats,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.answering = False
        self._reader: Final = reader
        self._writer: Final = writer
        self._handler: Final = handler
        self._options: Final = options
        self._stats: Final = stats
        self._is_stopping: Final = is_stopping
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        self._peer = str((writer.get_extra_info("peername") or ("unknown",))[0])
        self._buffered = 0
        self._is_head = False

    def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()

    async def serve(self) -> None:
        """Answer requests until the connection ends."""
        try:
            while await self._exchange() and not self._is_stopping():
                self._http.start_next_cycle()
            await self._close()
        except (OSError, TimeoutError):
            pass  # the client is gone, or does not read
        finally:
            self.abort()

    async def _exchange(self) -> bool:
        """Answer one request; return whether another may follow."""
        request: Admitted | None = None
        try:
            try:
                async with asyncio.timeout(self._options.request_timeout):
                    head = await self._head()
                    if head is None:
                        return False
                    admitted = self._handler.admit(head, self._peer)
                    if isinstance(admitted, HttpResponse):
                        body = b""
                    else:
                        request = admitted
                        body = await self._body(head)
            except TimeoutError:
                if self._http.their_state is h11.IDLE and not self._http.trailing_data[0]:
                    return False  # nothing was asked
                raise too_slow(self._options.request_timeout) from None
            self.answering = True
            response = admitted if isinstance(admitted, HttpResponse) else await self._handler.answer(admitted, body)
        except RefusedRequestError as error:
            response = self._handler.refuse(request, error.response)
        except h11.RemoteProtocolError as error:
            response = self._handler.refuse(
                request, broken(HTTPStatus(error.error_status_hint), "that is not HTTP/1.1, or too large").response
            )
        except Exception as error:
            if isinstance(error, OSError):
                raise
            _throttle.error("a request failed", kind=type(error).__name__, reason=str(error), exc_info=error)
            response = self._handler.refuse(request, internal().response)
        finally:
            self.answering = False
            self._stats.buffered_bytes -= self._buffered
            self._buffered = 0
        self._handler.count(request, response)
        return await self._send(response)

    async def _head(self) -> HttpHead | None:
        """Read the head of the next request; None if the client has closed the connection."""
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        self._is_head = event.method == b"HEAD"
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        if {"content-length", "transfer-encoding"} <= {name for name, _ in headers}:
            # a proxy may go by the other one: what is a part of the body to one would be a request to the other
            detail = "the body has two lengths: send Content-Length or Transfer-Encoding, not both"
            raise broken(HTTPStatus.BAD_REQUEST, detail)
        if event.http_version < b"1.1" and any(name == "transfer-encoding" for name, _ in headers):
            # HTTP/1.0 has no such header: a proxy that speaks it would take the body for the next request
            detail = "HTTP/1.0 has no Transfer-Encoding: send Content-Length, or HTTP/1.1"
            raise broken(HTTPStatus.BAD_REQUEST, detail)
        return HttpHead(event.method.decode("latin-1"), event.target.decode("latin-1"), headers)

    async def _body(self, head: HttpHead) -> bytes:
        limit = self._options.max_body_bytes
        if any(int(length) > limit for length in head.values("content-length")):  # h11 has checked that it is a number
            raise too_large(f"the body has more than {limit} bytes")
        if self._http.they_are_waiting_for_100_continue:
            self._writer.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        content = bytearray()  # of chunks of two bytes a list would take twenty times their size
        while isinstance(event := await self._event(), h11.Data):
            self._buffered += len(event.data)
            self._stats.buffered_bytes += len(event.data)
            if self._buffered > limit:
                raise too_large(f"the body has more than {limit} bytes")
            if self._stats.buffered_bytes > self._options.max_buffered_bytes:
                raise busy()
            content += event.data
        return bytes(content)

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ))
            await asyncio.sleep(0)  # what has arrived is read at once, and thousands of tiny chunks would hold the loop
        return event

    async def _send(self, response: HttpResponse) -> bool:
        """Send an answer; return whether the connection can be used again."""
        if not self._can_answer():
            return False
        unread = self._http.their_state is not h11.DONE
        closing = [("Connection", "close")] if unread or self._is_stopping() else []
        head = h11.Response(
            status_code=response.status,
            reason=response.status.phrase.encode(),
            headers=[
                ("Content-Type", response.content_type),
                ("Content-Length", str(len(response.body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                *response.headers,
                *closing,
            ],
        )
        self._writer.write(b"".join((self._http.send(head) or b"", *self._payload(response))))
        async with asyncio.timeout(_SEND_TIMEOUT_S):
            await self._writer.drain()
        return not unread and self._http.our_state is h11.DONE

    def _can_answer(self) -> bool:
        return self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}

    def _payload(self, response: HttpResponse) -> tuple[bytes, bytes]:
        data = b"" if self._is_head else self._http.send(h11.Data(data=response.body)) or b""
        return data, self._http.send(h11.EndOfMessage()) or b""

    async def _close(self) -> None:
        """Read what the client still sends, for a moment, so that it sees the answer."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
        read = 0
        async with asyncio.timeout(_LINGER_S):
            while read < _LINGER_BYTES and (data := await self._reader.read(_READ)):
                read += len(data)
