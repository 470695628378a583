"""A small HTTP client, so that a client's own CPU does not decide what is measured: keep-alive, no pipelining.

For callers of handlers, for the direct round trip, and for browsers. Knows what Restate's ingress and the console
answer, and no more.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import Final
from urllib.parse import urlsplit

_END: Final = b"\r\n\r\n"
_REFUSED: Final = 400


class Poster:
    """Posts JSON over a fixed number of connections, which are opened as they are needed.

    Args:
        url: where the server is; `http` only.
        connections: posts under way at one time.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._turns = asyncio.Semaphore(connections)

    async def post(self, path: str, body: bytes) -> bytes:
        """Return the answer's body; posts again where a connection turns out to be of a server that is gone.

        Raises:
            ConnectionError: the server refuses the post, or goes away.
        """
        fields = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        return await self._answer("POST", path, fields, body)

    async def get(self, path: str) -> bytes:
        """Return a page; errors as `post`."""
        return await self._answer("GET", path, "", b"")

    async def _answer(self, method: str, path: str, fields: str, body: bytes) -> bytes:
        request = f"{method} {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\n{fields}\r\n".encode() + body
        async with self._turns:
            status, answer = await self._send(request)
        if status >= _REFUSED:
            raise ConnectionError(f"{method} {path} was answered with {status}: {answer[:300]!r}")
        return answer

    async def _send(self, request: bytes) -> tuple[int, bytes]:
        while self._idle:
            with suppress(ConnectionError):
                return await self._exchange(*self._idle.pop(), request)
        return await self._exchange(*await asyncio.open_connection(self._host, self._port), request)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> tuple[int, bytes]:
        with ExitStack() as closing:
            closing.callback(writer.close)
            writer.write(request)
            answer = await _read(reader)
            closing.pop_all()  # it is good for another post
        self._idle.append((reader, writer))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()
        self._idle.clear()


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    try:
        head = (await reader.readuntil(_END)).lower()
        status = int(head[9:12])
        _, found, rest = head.partition(b"content-length: ")
        if found:
            return status, await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
        if b"transfer-encoding: chunked" not in head:
            return status, b""
        return status, await _read_chunks(reader)
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the server closed the connection") from error


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
