"""Clients of a served application that are not Restate, or behave badly: no other one suffers, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.errors
import h2.events
import h2.settings
import pytest
from tests.unit.sdk.serving.test_server import HEADERS, App, Connection, answer

from kallback.sdk.serving import accepted_connections, serve_app
from kallback.testing.polling import eventually
from kallback.testing.servers.ports import accepts, free_ports

SOCKETS = Path("/proc/net/tcp")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Do what the path says."""
    match scope["path"]:
        case "/fails":
            raise ValueError("before the answer")
        case "/fails-midway":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
            raise ValueError("in the middle")
        case "/reads-nothing":
            await asyncio.Event().wait()
        case "/large":
            await answer(send, bytes(10_000_000))
        case "/open":
            while (await receive())["type"] != "http.disconnect":
                pass
        case _:
            await answer(send)


@asynccontextmanager
async def served(served_app: App = app, log: logging.Logger | None = None) -> AsyncIterator[int]:
    """The port of an application."""
    port, end = free_ports(1)[0], asyncio.Event()
    serving = asyncio.create_task(serve_app(served_app, port, end, log=log))
    await eventually("the port", lambda: accepts(port))
    try:
        yield port
    finally:
        end.set()
        await serving


def asks(connection: Connection, path: str | bytes, *, end: bool = True, more: Any = ()) -> int:
    """Open a stream."""
    stream = connection.http.get_next_available_stream_id()
    headers = [(name, path if name == ":path" else value) for name, value in HEADERS]
    connection.http.send_headers(stream, [*headers, *more], end_stream=end)
    return int(stream)


def open_sockets(port: int) -> int:
    """How many sockets of processes have this local port: the one that listens, and one for each connection."""
    local, inode = f"0100007F:{port:04X}", 9
    sockets = [line.split() for line in SOCKETS.read_text("ascii").splitlines()]
    return sum(each[1] == local and each[inode] != "0" for each in sockets)


@pytest.mark.skipif(not SOCKETS.exists(), reason="sockets are counted in /proc")
@pytest.mark.parametrize("asked", [b"", b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n", b"HTTP/2"])
async def test_a_connection_that_its_client_closes_leaves_nothing_open(asked: bytes) -> None:
    """A probe of a port connects every few seconds; the process would run out of files within hours."""
    async with served() as port:
        tasks = len(asyncio.all_tasks())
        for _ in range(10):
            connection = await Connection.open(port)
            if asked == b"HTTP/2":
                await connection.answered(connection.request())
            elif asked:
                connection._writer.write(asked)
                assert await connection._reader.read(1)
            connection.close()
        await eventually("closed connections", lambda: open_sockets(port) == 1 and len(asyncio.all_tasks()) == tasks)


async def test_a_handler_that_does_not_read_holds_no_other_up() -> None:
    """What comes for it waits in its own queue."""
    async with served() as port:
        connection = await Connection.open(port)
        stream = asks(connection, "/reads-nothing", end=False)
        for _ in range(50):
            connection.http.send_data(stream, b"more")
        assert await connection.answered(connection.request()) == b"done"
        connection.close()


async def test_a_handler_that_fails_in_the_middle_of_its_answer_ends_its_stream() -> None:
    """Otherwise the client would wait for the rest."""
    async with served() as port:
        connection = await Connection.open(port)
        stream = asks(connection, "/fails-midway")
        assert await connection.reset(stream) == h2.errors.ErrorCodes.INTERNAL_ERROR
        assert await connection.answered(connection.request()) == b"done"
        connection.close()


async def test_a_handler_that_fails_before_its_answer_ends_no_connection() -> None:
    """Hypercorn's answer has a header of HTTP/1.1, which clients take for a reason to close the connection."""
    async with served() as port:
        connection = await Connection.open(port)
        assert await connection.answered(asks(connection, "/fails")) == b""
        assert await connection.answered(connection.request()) == b"done"
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"path": b"/\xff"},
        {"path": "/", "more": [("x-name", b"\xff")]},
        {"path": "/", "more": [(":protocol", "websocket")]},
    ],
)
async def test_a_request_that_cannot_be_read_is_refused(
    headers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection goes on, and nothing is logged: whoever sends it could fill a disk."""
    async with served(log=logging.getLogger("hypercorn.error")) as port:
        connection = await Connection.open(port)
        if headers.get("more") == [(":protocol", "websocket")]:
            stream = int(connection.http.get_next_available_stream_id())
            tunnel = [(name, "CONNECT" if name == ":method" else value) for name, value in HEADERS]
            connection.http.send_headers(stream, [*tunnel, (":protocol", "websocket")])
        else:
            stream = asks(connection, **headers)
        await connection.answered(stream)
        assert await connection.answered(connection.request()) == b"done"
        connection.close()
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_silent_connections_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest silent one gives way, and one with an open handler never does."""
    monkeypatch.setattr(accepted_connections, "MAX_CONNECTIONS", 5)
    async with served() as port:
        restate = await Connection.open(port)
        assert await restate.answered(restate.request()) == b"done"
        restate.request(end=False)
        await restate.flush()
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
        other = await Connection.open(port)
        assert await other.answered(other.request()) == b"done"
        assert await restate.answered(restate.request()) == b"done"
        for _, writer in silent:
            writer.close()
        restate.close()
        other.close()


async def test_a_connection_that_is_accepted_at_the_end_is_closed() -> None:
    """Asyncio would forget it between two turns of its loop."""
    port, end = free_ports(1)[0], asyncio.Event()
    serving = asyncio.create_task(serve_app(app, port, end))
    await eventually("the port", lambda: accepts(port))
    with socket.create_connection(("127.0.0.1", port)) as client:
        asyncio.get_running_loop().call_soon(end.set)
        await serving
        gc.collect()  # raises what was left open
        client.setblocking(False)  # noqa: FBT003 - its own name
        assert client.recv(1) == b""


async def test_a_client_that_reads_nothing_does_not_delay_the_end() -> None:
    """What it has not read is dropped with its connection."""
    async with served() as port, asyncio.timeout(60):
        connection = await Connection.open(port)
        connection.http.increment_flow_control_window(2**30)
        connection.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
        for _ in range(3):
            asks(connection, "/large")
        await connection.flush()
        await asyncio.wait_for(connection._reader.read(1), 60)
    connection.close()


async def test_endless_settings_end_the_connection() -> None:
    """Each change of the window is a look at all streams of the connection."""
    async with served() as port:
        connection = await Connection.open(port)
        asks(connection, "/open", end=False)
        for size in range(1, 2_000):
            connection.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})
        assert await connection.terminated() == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
        connection.close()
