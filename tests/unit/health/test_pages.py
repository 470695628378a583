"""The pages' server, and clients that do not mean well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kallback.health.pages import Page, PageServer
from kallback.protocol import ConfigurationError
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually


def broken(_: str) -> Page:
    """A page with a defect."""
    raise KeyError("page")


PAGES = {
    "/hello": lambda accept: Page(f"hello {accept}".encode()),
    "/large": lambda _: Page(b"x" * 20_000_000),
    "/broken": broken,
}


@asynccontextmanager
async def serving(timeout: float = 5.0) -> AsyncGenerator[PageServer]:  # noqa: ASYNC109 - the server's own
    """A server of the pages above."""
    server = PageServer(PAGES, "127.0.0.1", 0, timeout=timeout)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def patient() -> AsyncGenerator[PageServer]:
    """With so much timeout that only other limits can help."""
    async with serving(timeout=600.0) as it:
        yield it


@pytest.fixture
async def server() -> AsyncGenerator[PageServer]:
    """With the usual timeout."""
    async with serving() as it:
        yield it


async def ask(server: PageServer, raw: bytes) -> bytes:
    """What is answered until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(raw)
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.transport.abort()


def status(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])


async def test_a_page_and_what_the_client_accepts(server: PageServer) -> None:
    """Headers have any case, queries do not matter."""
    answer = await ask(server, b"GET /hello?x=1 HTTP/1.1\r\nHost: x\r\naCCept: text/plain\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (status(answer), body) == (200, b"hello text/plain")
    assert {b"Content-Length: 16", b"Connection: close"} <= set(head.split(b"\r\n"))


async def test_head_has_no_body(server: PageServer) -> None:
    """With the length that GET would have."""
    answer = await ask(server, b"HEAD /hello HTTP/1.1\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 6\r\n" in answer


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"POST /hello HTTP/1.1\r\n\r\n", 405),
        (b"GET /hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xff\xfe\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /hello SMTP/1.1\r\n\r\n", 400),
        (b"GET /broken HTTP/1.1\r\n\r\n", 500),
    ],
)
async def test_other_answers(server: PageServer, raw: bytes, expected: int) -> None:
    """What is wrong has its status, and the server goes on."""
    assert status(await ask(server, raw)) == expected
    assert status(await ask(server, b"GET /hello HTTP/1.1\r\n\r\n")) == 200


async def test_a_defect_is_told(server: PageServer) -> None:
    """One line, with the page."""
    with capture_logs() as lines:
        await ask(server, b"GET /broken HTTP/1.1\r\n\r\n")
    assert lines[0]["kind"] == "/broken"


async def test_a_huge_head_is_cut_off(patient: PageServer) -> None:
    """Nobody makes the bridge keep megabytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", patient.port)
    writer.write(b"GET /hello HTTP/1.1\r\nX: ")
    try:
        for _ in range(5_000):
            writer.write(b"x" * 1000)
            await asyncio.wait_for(writer.drain(), 5)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer == b"" or status(answer) == 431
    except ConnectionError:
        pass  # hung up in the middle
    writer.transport.abort()
    await eventually("the connection to be freed", lambda: not patient._tasks)


async def test_a_slow_client_is_cut_off() -> None:
    """One byte now and then keeps no place."""
    async with serving(timeout=0.2) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"G")
        await asyncio.wait({asyncio.create_task(reader.read())}, timeout=5)
        assert not server._connections
        writer.transport.abort()


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """A large answer that nobody takes is dropped."""
    async with serving(timeout=0.2) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        await eventually("a connection to be taken", lambda: server._connections)
        await eventually("the connection to be freed", lambda: not server._connections)
        writer.transport.abort()


async def test_many_idle_clients_do_not_lock_out_a_probe(patient: PageServer) -> None:
    """The oldest place is given away."""
    idle = [socket.create_connection(("127.0.0.1", patient.port)) for _ in range(100)]
    try:
        assert status(await ask(patient, b"GET /hello HTTP/1.1\r\n\r\n")) == 200
        await eventually("few connections", lambda: len(patient._tasks) <= 32, timeout=5)
    finally:
        for each in idle:
            each.close()


async def test_stopping_leaves_nothing() -> None:
    """Clients in the middle of a request included; stopping twice is fine."""
    server = PageServer(PAGES, "127.0.0.1", 0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await eventually("a connection to be taken", lambda: server._connections)
    await server.stop()
    await server.stop()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "kallback-health-page"]
    writer.transport.abort()


async def test_a_port_that_is_taken(server: PageServer) -> None:
    """The sentence names the address once, and the option to change."""
    sentence = rf"^cannot listen on 127.0.0.1:{server.port} \(Address already in use\): choose another --health-port"
    with pytest.raises(ConfigurationError, match=sentence):
        await PageServer(PAGES, "127.0.0.1", server.port).start()
