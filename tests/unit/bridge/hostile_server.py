"""A server that answers what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class HostileServer:
    """An HTTP server that reads one request at a time and then does what the test says."""

    url: str = ""
    script: Script | None = None
    requests: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0

    def answers(self, raw: bytes) -> None:
        """Answer every request with these bytes, and keep the connection."""

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(raw)
            await writer.drain()

        self.script = script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    request = await _request(reader)
                    if request.startswith(b"PRI * HTTP/2.0"):  # it is one of HTTP/1.1
                        self.connections -= 1
                        writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                        await writer.drain()
                        return
                    self.requests.append(request)
                    assert self.script is not None
                    await self.script(reader, writer)
        finally:
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return head + (await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")


@asynccontextmanager
async def serve_hostile(host: str = "127.0.0.1") -> AsyncGenerator[HostileServer]:
    """Serve until the context ends; open connections are cut."""
    hostile = HostileServer()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(hostile.serve(reader, writer)))

    server = await asyncio.start_server(connected, host, 0)
    shown = f"[{host}]" if ":" in host else host
    hostile.url = f"http://{shown}:{server.sockets[0].getsockname()[1]}"
    try:
        yield hostile
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
