"""The small HTTP client of the round trips, against a server that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from benchmarks.poster import Poster


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[Poster]:
    """A server that gives the same answer to each request, and a client of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(4096):
            assert head.startswith(b"POST /x HTTP/1.1\r\n")
            writer.write(answer)
            await writer.drain()
            if b"close" in answer:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    poster = Poster(f"http://127.0.0.1:{port}", connections=1)
    try:
        yield poster
    finally:
        await poster.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    ],
)
async def test_a_connection_is_used_again(answer: bytes) -> None:
    """The first answer is read to its end, however its length is told."""
    async with answering(answer) as poster:
        assert [await poster.post("/x", b"{}") for _ in range(3)] == [b"body"] * 3


async def test_a_connection_that_died_is_replaced() -> None:
    """The server may have been restarted between two posts."""
    async with answering(b"HTTP/1.1 200 OK\r\nx: close\r\ncontent-length: 4\r\n\r\nbody") as poster:
        assert [await poster.post("/x", b"{}") for _ in range(2)] == [b"body"] * 2


async def test_a_refusal_is_an_error() -> None:
    """A run whose posts are refused has no figures."""
    async with answering(b"HTTP/1.1 503 Away\r\ncontent-length: 4\r\n\r\ngone") as poster:
        with pytest.raises(ConnectionError, match="503"):
            await poster.post("/x", b"{}")


async def test_a_lost_connection_is_an_error() -> None:
    """An answer that ends early is none."""
    async with answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nbody") as poster:
        with pytest.raises(ConnectionError, match="closed"):
            await poster.post("/x", b"{}")
