"""An HTTP proxy between a bridge and Restate that can lose its route, as ingress controllers do in a roll-out."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LIMIT: Final = 1024 * 1024


class RoutingProxy:
    """Passes connections on, or answers itself.

    Args:
        upstream: the address of Restate's ingress.

    Attributes:
        answered: requests that it answered itself.
    """

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self._page: bytes | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.answered = 0
        self.url = ""

    def lose_route(self, status: str, body: bytes) -> None:
        """Answer each request with this page from now on; open connections are cut."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        self._page = head.encode() + body
        self._cut()

    def restore_route(self) -> None:
        """Pass connections on again."""
        self._page = None
        self._cut()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[RoutingProxy]:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_LIMIT)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self._cut()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serve = self._pass_on(reader, writer) if self._page is None else self._answer(reader, writer, self._page)
        task = asyncio.create_task(serve)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, page: bytes) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                self.answered += 1
                writer.write(page)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._upstream)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_copy(reader, back))
                ways.create_task(_copy(there, writer))
        except* OSError:
            pass
        finally:
            writer.transport.abort()
            back.transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()
    target.close()
