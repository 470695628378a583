"""A server of HTTP/2 made of frames, which does what a test tells it to, also what the protocol forbids."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hpack

from kallback.bridge.restate.http2 import frames
from kallback.bridge.restate.http2.frames import Frame, FrameReader, frame

ANSWER = frames.END_HEADERS | frames.END_STREAM


@dataclass
class Request:
    """A request that has come whole, or as far as the test wants."""

    stream: int
    headers: dict[str, str]
    body: bytes = b""


class Peer:
    """One connection of the server."""

    def __init__(self, server: HostileHttp2, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.frames: list[Frame] = []
        self._server = server
        self._encoder = hpack.Encoder()
        self._encoder.header_table_size = 0
        self._decoder = hpack.Decoder()
        self._open: dict[int, Request] = {}

    def send(self, *of: bytes) -> None:
        """Write frames."""
        self.writer.write(b"".join(of))

    def block(self, *headers: tuple[str, str]) -> bytes:
        """Encode headers."""
        return self._encoder.encode(list(headers))

    def answer(self, stream: int, status: int, *headers: tuple[str, str], body: bytes = b"") -> None:
        """Answer a request."""
        block = self.block((":status", str(status)), *headers)
        self.send(frame(frames.HEADERS, frames.END_HEADERS if body else ANSWER, stream, block))
        parts = [body[at : at + frames.FRAME_SIZE] for at in range(0, len(body), frames.FRAME_SIZE)]
        for number, part in enumerate(parts, 1):
            self.send(frame(frames.DATA, frames.END_STREAM if number == len(parts) else 0, stream, part))

    def take(self, of: Frame) -> Request | None:
        """Read a frame; return the request that it ends."""
        self.frames.append(of)
        if of.kind == frames.HEADERS:
            headers = dict(self._decoder.decode(of.payload))
            self._open[of.stream] = Request(of.stream, {str(name): str(value) for name, value in headers.items()})
        elif of.kind == frames.DATA:
            self._open[of.stream].body += of.payload
            if self._server.credits and of.payload:
                updates = [frames.window_update(number, len(of.payload)) for number in (0, of.stream)]
                self.send(*updates)
        if of.kind in {frames.HEADERS, frames.DATA} and of.flags & frames.END_STREAM:
            return self._open.pop(of.stream)
        return None


Script = Callable[[Peer, Request], Awaitable[None] | None]


@dataclass
class HostileHttp2:
    """What the server does.

    Attributes:
        script: called with each request.
        settings: of its first frame.
        credits: it enlarges the windows for what it receives.
        greeting: sent in place of the SETTINGS.
    """

    url: str = ""
    script: Script = lambda peer, request: peer.answer(request.stream, 202)
    settings: dict[int, int] = field(default_factory=dict[int, int])
    credits: bool = True
    greeting: bytes | None = None
    requests: list[Request] = field(default_factory=list[Request])
    peers: list[Peer] = field(default_factory=list[Peer])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        peer = Peer(self, writer)
        self.peers.append(peer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readexactly(len(frames.PREFACE))
                peer.send(frames.settings(self.settings) if self.greeting is None else self.greeting)
                await self._read(peer, reader)
        finally:
            writer.transport.abort()

    async def _read(self, peer: Peer, reader: asyncio.StreamReader) -> None:
        cut = FrameReader()
        while data := await reader.read(65_536):
            for each in cut.feed(data):
                request = peer.take(each)
                if request is None:
                    continue
                self.requests.append(request)
                done = self.script(peer, request)
                if done is not None:
                    await done
            await peer.writer.drain()


@asynccontextmanager
async def serve_http2(tls: ssl.SSLContext | None = None) -> AsyncGenerator[HostileHttp2]:
    """Serve until the context ends; open connections are cut."""
    hostile = HostileHttp2()
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks[asyncio.create_task(hostile.serve(reader, writer))] = writer

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    where = "http://127.0.0.1" if tls is None else "https://localhost"
    hostile.url = f"{where}:{server.sockets[0].getsockname()[1]}"
    try:
        yield hostile
    finally:
        server.close()
        for task, writer in tasks.items():
            task.cancel()
            writer.transport.abort()  # a task that has not begun closes nothing
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
