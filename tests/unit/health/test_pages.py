"""The pages' server, and clients that do not mean well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kallback.health import pages
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
async def serving(timeout: float = 5.0, host: str = "127.0.0.1") -> AsyncGenerator[PageServer]:  # noqa: ASYNC109 - the server's own
    """A server of the pages above."""
    server = PageServer(PAGES, host, 0, timeout=timeout)
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
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.transport.abort()


def status(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])


async def test_a_page_and_what_the_client_accepts(server: PageServer) -> None:
    """Headers have any case, queries do not matter."""
    answer = await ask(server, b"GET /hello?x=1 HTTP/1.1\r\nHost: localhost\r\naCCept: text/plain\r\n\r\n")
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


_TEXT = st.one_of(st.binary(max_size=60), st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")))
_REQUESTS = st.builds(
    lambda method, path, version, headers: (
        method + b" " + path + b" " + version + b"\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n"
    ),
    st.one_of(st.sampled_from([b"GET", b"HEAD", b"POST"]), _TEXT),
    st.one_of(st.sampled_from([b"/hello", b"/hello?a=b", b"//", b"*"]), _TEXT),
    st.one_of(st.sampled_from([b"HTTP/1.1", b"HTTP/2", b"HTTP/1."]), _TEXT),
    st.lists(st.tuples(st.one_of(st.just(b"Accept"), _TEXT), _TEXT), max_size=5),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(_REQUESTS, st.binary(max_size=300)))
async def test_whatever_is_sent_has_an_answer_or_none(server: PageServer, raw: bytes) -> None:
    """An answer is whole and no server error; nothing is logged."""
    with capture_logs() as lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        writer.write_eof()
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
    assert lines == []
    head, _, body = answer.partition(b"\r\n\r\n")
    assert not answer or head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 40", b"HTTP/1.1 431 "))
    assert not body or b"Content-Length: %d\r\n" % len(body) in answer


async def test_a_huge_head_is_cut_off(patient: PageServer) -> None:
    """Nobody makes the bridge keep megabytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", patient.port)
    writer.write(b"GET /hello HTTP/1.1\r\nX: ")
    try:
        for _ in range(5_000):
            writer.write(b"x" * 1000)
            await asyncio.wait_for(writer.drain(), 60)
        answer = await asyncio.wait_for(reader.read(), 60)
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
        await asyncio.wait({asyncio.create_task(reader.read())}, timeout=60)
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
        await eventually("few connections", lambda: len(patient._tasks) <= 32, timeout=60)
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
    assert await asyncio.wait_for(reader.read(), 60) == b""
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "kallback-health-page"]
    writer.transport.abort()


async def test_a_port_that_is_taken(server: PageServer) -> None:
    """The sentence names the address once, and the option to change."""
    sentence = rf"^cannot listen on 127.0.0.1:{server.port} \(Address already in use\): choose another --health-port"
    with pytest.raises(ConfigurationError, match=sentence):
        await PageServer(PAGES, "127.0.0.1", server.port).start()


async def stubborn() -> None:
    """A task that does not end when it is cancelled."""
    while True:
        try:
            await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            continue
        return


async def test_stopping_ends_though_a_connection_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that ignores its cancellation is waited for up to a bound."""
    monkeypatch.setattr(pages, "_STOP_TIMEOUT_S", 0.01)
    server = PageServer(PAGES, "127.0.0.1", 0)
    await server.start()
    task = asyncio.create_task(stubborn())
    server._tasks.add(task)
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await server.stop()
    assert not task.done()
    await task


async def test_stopping_ends_though_asyncio_waits_for_clients(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Since Python 3.12 `wait_closed` returns when the last client is gone."""
    monkeypatch.setattr(pages, "_STOP_TIMEOUT_S", 0.01)
    monkeypatch.setattr(asyncio.base_events.Server, "wait_closed", lambda _: asyncio.Event().wait())
    server = PageServer(PAGES, "127.0.0.1", 0)
    await server.start()
    async with asyncio.timeout(20):
        await server.stop()
    assert "the health port did not close in time" in caplog.text


async def test_stopping_aborts_what_clients_do_not_take(patient: PageServer) -> None:
    """An answer in the middle of its way does not hold up the stop."""
    reader, writer = await asyncio.open_connection("127.0.0.1", patient.port)
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    writer.write(b"GET /large HTTP/1.1\r\n\r\n")
    await eventually("a connection to be taken", lambda: patient._connections)
    (kept,) = patient._connections.values()
    async with asyncio.timeout(20):
        await patient.stop()
    assert kept.transport.is_closing()
    transport.abort()
    del reader


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"Host: localhost:9464\r\n", 200),
        (b"host: LOCALHOST\r\n", 200),
        (b"Host: 127.0.0.1:9464\r\n", 200),
        (b"Host: 10.1.2.3:9464\r\n", 200),
        (b"Host: [::1]:9464\r\n", 200),
        (b"", 200),
        (b"Host: evil.example:9464\r\n", 421),
        (b"Host: localhost.evil.example\r\n", 421),
        (b"Host: localhost\r\nHost: evil.example\r\n", 421),
        (b"Host: \r\n", 421),
    ],
)
async def test_a_web_page_cannot_read_the_loopback_by_a_name_of_its_own(
    server: PageServer, host: bytes, expected: int
) -> None:
    """Its name may point to 127.0.0.1; probes and scrapers use localhost, an address, or no name."""
    assert status(await ask(server, b"GET /hello HTTP/1.1\r\n" + host + b"\r\n")) == expected


@pytest.mark.parametrize("host", ["bridge:9464", "bridge.kallback.svc", "10.1.2.3:9464"])
async def test_a_port_that_is_open_to_the_network_answers_to_any_name(host: str) -> None:
    """Scrapers know it by the name of a container or a service, and who is in the network can ask anyway."""
    async with serving(host="0.0.0.0") as server:
        assert status(await ask(server, f"GET /hello HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())) == 200
