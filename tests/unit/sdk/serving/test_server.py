"""Serving a Restate application, seen from the other end of one HTTP/2 connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import hypercorn.protocol
import hypercorn.protocol.h2
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config

from kallback.sdk.serving import ServiceStats, serve_app
from kallback.sdk.serving.connections import is_supported
from kallback.testing.polling import eventually
from kallback.testing.servers.ports import accepts, free_ports

App = Callable[[Any, Any, Any], Awaitable[None]]
HEADERS = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "service")]


class Connection:
    """One HTTP/2 connection, as Restate has it: many streams, never closed by this side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.given_up, self.reason = False, 0

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def request(self, *, end: bool = True) -> int:
        """Open a stream; `end` for a request without a body."""
        stream = self.http.get_next_available_stream_id()
        self.http.send_headers(stream, HEADERS, end_stream=end)
        return int(stream)

    async def flush(self) -> None:
        """Send what is queued."""
        self._writer.write(self.http.data_to_send())
        await self._writer.drain()

    async def answered(self, stream: int) -> bytes:
        """Wait for the answer of a stream."""
        await self.flush()
        async with asyncio.timeout(60):
            while stream not in self.ended:
                assert not self.given_up, "the server gave the connection up before it answered"
                await self._receive()
        return self.bodies.pop(stream, b"")

    async def received(self, stream: int) -> bytes:
        """Wait for a part of the answer of a stream."""
        await self.flush()
        async with asyncio.timeout(60):
            while stream not in self.bodies:
                await self._receive()
        return self.bodies[stream]

    async def reset(self, stream: int) -> int:
        """Wait until the server resets a stream; why it does."""
        await self.flush()
        async with asyncio.timeout(60):
            while stream not in self.resets:
                await self._receive()
        return self.resets[stream]

    async def terminated(self) -> int:
        """Wait until the server gives the connection up; why it does."""
        await self.flush()
        async with asyncio.timeout(60):
            while not self.given_up:
                await self._receive()
        return self.reason

    async def _receive(self) -> None:
        data = await self._reader.read(65_536)
        assert data, "the server closed the connection"
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.StreamReset):
                self.resets[event.stream_id] = int(event.error_code)
            if isinstance(event, h2.events.ConnectionTerminated):
                self.given_up, self.reason = True, int(event.error_code or 0)
            if isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
        await self.flush()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@asynccontextmanager
async def connected(app: App, stats: ServiceStats | None = None) -> AsyncIterator[Connection]:
    """An application that is served, and a connection to it."""
    port, end = free_ports(1)[0], asyncio.Event()
    serving = asyncio.create_task(serve_app(app, port, end, stats=stats))
    await eventually("the port", lambda: accepts(port))
    connection = await Connection.open(port)
    try:
        yield connection
    finally:
        connection.close()
        end.set()
        await serving


async def answer(send: Any, body: bytes = b"done") -> None:
    """Answer a request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_a_connection_is_not_closed_after_a_thousand_requests() -> None:
    """Restate would start the handlers that are open on it a second time."""
    started = 0

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal started
        started += 1
        await answer(send)

    async with connected(app) as connection:
        for _ in range(22):
            for stream in [connection.request() for _ in range(50)]:
                assert await connection.answered(stream) == b"done"
    assert started == 1_100


async def test_reset_streams_leave_nothing_behind() -> None:
    """Restate resets the stream of a killed invocation; after 2,000 of them on one connection, the service answers."""
    started = 0

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        nonlocal started
        started += 1
        if (await receive())["type"] != "http.disconnect":
            await answer(send)

    async with connected(app) as connection:
        for _ in range(40):
            for stream in [connection.request(end=False) for _ in range(50)]:
                connection.http.reset_stream(stream)
            await connection.flush()
        assert await connection.answered(connection.request()) == b"done"
    assert started == 2_001


async def test_a_stream_that_is_reset_with_a_part_of_its_answer_unsent_harms_no_other() -> None:
    """The answer is larger than the flow-control window, so a part of it waits for the client."""
    sent = asyncio.Event()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/large":
            sent.set()
            await answer(send, b"x" * 1_000_000)
        else:
            await answer(send)

    async with connected(app) as connection:
        for _ in range(20):
            sent.clear()
            stream = connection.http.get_next_available_stream_id()
            large = [(name, "/large" if name == ":path" else value) for name, value in HEADERS]
            connection.http.send_headers(stream, large, end_stream=True)
            await connection.flush()
            await sent.wait()
            connection.http.reset_stream(stream)
            assert await connection.answered(connection.request()) == b"done"


async def test_more_than_a_thousand_streams_are_open_at_once() -> None:
    """One for each invocation that runs."""
    waiting, go_on = 0, asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal waiting
        waiting += 1
        await go_on.wait()
        await answer(send)

    async with connected(app) as connection:
        streams = [connection.request() for _ in range(1_010)]
        await connection.flush()
        await eventually("1,010 open handlers", lambda: waiting == 1_010)
        go_on.set()
        for stream in streams:
            assert await connection.answered(stream) == b"done"


def test_other_hypercorns_of_the_process_are_not_changed() -> None:
    """An application that its own hypercorn serves keeps hypercorn's classes."""
    assert vars(hypercorn.protocol)["H2Protocol"] is hypercorn.protocol.h2.H2Protocol
    assert hypercorn.protocol.h2.H2Protocol.__module__ == "hypercorn.protocol.h2"


@pytest.mark.parametrize(
    ("version", "supported"),
    [("0.17.3", True), ("0.18.0", True), ("0.16.0", False), ("0.19.0", False), ("1.0", False), ("0.18rc1", False)],
)
def test_only_tested_versions_of_hypercorn_are_changed(version: str, supported: bool) -> None:  # noqa: FBT001
    """What is changed is internal to hypercorn."""
    assert is_supported(version) is supported


async def test_an_untested_hypercorn_serves_with_its_own_limits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limits are never raised without the release of reset streams, and a line says what follows."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send)

    used = list[int]()

    async def served(app: App, config: Config, **options: Any) -> None:
        used.append(config.keep_alive_max_requests)
        await serve(app, config, **options)

    monkeypatch.setattr("kallback.sdk.serving.server.is_supported", lambda: False)
    monkeypatch.setattr("kallback.sdk.serving.server.serve", served)
    with caplog.at_level(logging.WARNING, "kallback.sdk.serving"):
        async with connected(app) as connection:
            assert await connection.answered(connection.request()) == b"done"
    assert used == [1000]
    assert "closes each connection after 1000 requests" in caplog.text


async def test_a_stream_that_is_opened_while_it_ends_does_not_keep_it() -> None:
    """Restate opens one whenever an invocation is due; a handler that is open still gets its answer out."""
    port, end, began, go_on = free_ports(1)[0], asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        began.set()
        await go_on.wait()
        await answer(send)

    serving = asyncio.create_task(serve_app(app, port, end))
    await eventually("the port", lambda: accepts(port))
    connection = await Connection.open(port)
    first = connection.request(end=False)
    await connection.flush()
    await began.wait()
    end.set()
    await asyncio.sleep(0)
    late = connection.request(end=False)
    connection.http.send_data(late, b"x" * 100)
    await connection.flush()
    go_on.set()
    async with asyncio.timeout(60):
        assert await connection.answered(first) == b"done"
        await serving
    connection.close()


async def test_a_handler_that_ends_its_answer_while_it_is_cancelled_does_so_in_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the end of the grace: its connection takes no new task, and a cancelled connection is no error."""
    monkeypatch.setattr("kallback.sdk.serving.server.GRACE", 0.0)
    port, end, ended = free_ports(1)[0], asyncio.Event(), asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"suspended", "more_body": True})
        try:
            await asyncio.Event().wait()
        finally:
            await send({"type": "http.response.body"})
            ended.set()

    serving = asyncio.create_task(serve_app(app, port, end))
    await eventually("the port", lambda: accepts(port))
    connection = await Connection.open(port)
    stream = connection.request()
    assert await connection.received(stream) == b"suspended"
    end.set()
    await serving
    connection.close()
    assert (ended.is_set(), [each for each in caplog.records if each.levelno >= logging.ERROR]) == (True, [])
