"""A few read-only pages over HTTP, on the event loop of what is observed: an answer shows that the loop runs.

No library: those that only serve metrics use a thread, which would go on answering while the loop is blocked, and a web
framework is large for three pages. So this is the smallest part of HTTP/1.1: GET and HEAD, one request per connection,
no bodies. A client can hold one of 32 connections for five seconds and send 8 KiB; when all connections are taken, the
oldest one is closed.

Ownership: one task per connection, ended by `stop`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from kallback.lifecycle import LogThrottle, close_listener
from kallback.protocol import ConfigurationError
from kallback.settings import named_log
from kallback.settings.addresses import LOOPBACK, host_named, is_ip

TEXT: Final = "text/plain; charset=utf-8"
_HEAD_LIMIT: Final = 8 * 1024
_MAX_CONNECTIONS: Final = 32
_TIMEOUT_S: Final = 5.0
_STOP_TIMEOUT_S: Final = 1.0  # for connections that are aborted, which takes no time unless asyncio hangs
_log: Final = named_log("kallback.health")


class Page(msgspec.Struct, frozen=True):
    """What is answered."""

    body: bytes
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK


Pages = Mapping[str, Callable[[str], Page]]
"""By path: called with the request's `Accept`; must not block."""


class PageServer:
    """Serves pages until it is stopped.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        timeout: seconds from a client's connect to the end of the answer.
    """

    def __init__(self, pages: Pages, host: str, port: int, *, timeout: float = _TIMEOUT_S) -> None:
        self._pages = pages
        self._host = host
        self._port = port
        self._timeout = timeout
        self._throttle = LogThrottle(_log)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # those that were closed early included, until they have ended

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port if self._server is None else int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the port is taken or not allowed.
        """
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=_HEAD_LIMIT)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"cannot listen on {self._host}:{self._port} ({_reason(error)}): choose another --health-port or "
                "--health-host"
            ) from None

    async def stop(self) -> None:
        """Close everything; stopping twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        await close_listener(server)
        for writer in tuple(self._connections.values()):
            writer.transport.abort()  # since Python 3.12 `wait_closed` waits for the clients, too
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT_S)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await server.wait_closed()
        except TimeoutError:
            _log.error("the health port did not close in time", seconds=_STOP_TIMEOUT_S)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MAX_CONNECTIONS:
            self._connections.pop(next(iter(self._connections))).transport.abort()
        task = asyncio.create_task(self._serve(reader, writer), name="kallback-health-page")
        self._connections[task] = writer
        self._tasks.add(task)
        task.add_done_callback(self._leave)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                writer.write(await self._answer(reader))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # a client that went away, or took too long
        except Exception as error:  # noqa: BLE001 - a defect must not end as an exception that is never retrieved
            self._throttle.error(
                "a connection failed",
                kind="connection",
                reason=f"{type(error).__name__}: {error}",
                exc_info=error,
            )
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(_plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        request, *lines = head.decode("latin-1").split("\r\n")
        parts = request.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, version
            return _response(_plain(HTTPStatus.BAD_REQUEST))
        method, target, _ = parts
        if method not in {"GET", "HEAD"}:
            return _response(_plain(HTTPStatus.METHOD_NOT_ALLOWED), "Allow: GET, HEAD\r\n")
        if self._host in LOOPBACK and not _is_local(_values(lines, "host")):
            return _response(_OTHER_HOST)
        response = _response(self._page(target.partition("?")[0], ",".join(_values(lines, "accept"))))
        return response if method == "GET" else response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def _page(self, path: str, accept: str) -> Page:
        make = self._pages.get(path)
        if make is None:
            return Page(f"the pages are {', '.join(self._pages)}\n".encode(), status=HTTPStatus.NOT_FOUND)
        try:
            return make(accept)
        except Exception as error:  # noqa: BLE001 - a defect of a page must not end the process that it describes
            self._throttle.error("a page failed", kind=path, reason=f"{type(error).__name__}: {error}", exc_info=error)
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _plain(status: HTTPStatus) -> Page:
    return Page(f"{status.phrase}\n".encode(), status=status)


_OTHER_HOST: Final = Page(
    b"on the loopback this port answers to localhost and to IP addresses only: use one of them, or --health-host\n",
    status=HTTPStatus.MISDIRECTED_REQUEST,
)


def _is_local(hosts: list[str]) -> bool:
    """Whether a request for the loopback can come from this machine's own programs.

    A web page can have a name of its own point to the loopback, and read what a browser on this machine gets there. It
    cannot choose an address in digits, nor leave the header out.
    """
    return all(named in LOOPBACK or is_ip(named) for named in map(host_named, hosts))


def _values(lines: list[str], wanted: str) -> list[str]:
    named = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in named if name.lower() == wanted]


def _response(page: Page, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {page.status.value} {page.status.phrase}\r\n"
        f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n"
        f"Cache-Control: no-store\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode() + page.body


def _reason(error: OSError | OverflowError) -> str:
    """The system's own words; asyncio's text for a port in use repeats the address."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error)
