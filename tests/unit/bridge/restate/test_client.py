"""The HTTP client on servers of HTTP/1.1 that do what it allows, and what it does not; HTTP/2 is tried first."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.unit.bridge.hostile_server import HostileServer

from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.http1 import HEAD_LIMIT
from kallback.bridge.restate.requests import HttpAnswer, HttpResult, HttpTimeoutError
from kallback.protocol import ConfigurationError, RestateUnavailableError
from kallback.settings import RestateSettings, Secret
from kallback.testing.polling import eventually

ACCEPT = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def client(url: str, *, patience: float = 2.0, connections: int = 4) -> AsyncGenerator[RestateHttp]:
    """A started client."""
    settings = RestateSettings(url, connect_timeout=patience, request_timeout=patience)
    http = RestateHttp(settings, connections=connections, streams=connections)
    await http.start()
    try:
        yield http
    finally:
        await http.stop()


def posted(http: RestateHttp, path: str = "/x", body: bytes = b"{}") -> asyncio.Future[HttpResult]:
    """Post; the future has what was told."""
    came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()
    http.post(path, body, content_type="application/json", on_result=came.set_result)
    return came


async def post(http: RestateHttp) -> HttpResult:
    """Post and wait; a callback that never comes fails the test."""
    return await asyncio.wait_for(posted(http), 60)


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nretry-after: 9\r\n\r\n" + ACCEPT, 202, b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", 200, b"abcde"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nretry-after: 9\r\n\r\n", 200, b"a"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    ],
)
async def test_answers_after_which_the_connection_goes_on(
    hostile: HostileServer, raw: bytes, status: int, body: bytes
) -> None:
    """Interim answers are skipped, chunks joined, trailers ignored; the next request uses the same connection."""
    hostile.answers(raw)
    async with client(hostile.url) as http:
        for _ in range(3):
            assert await post(http) == HttpAnswer(status, None, body)
    assert hostile.connections == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.0 202 Accepted\r\ncontent-length: 0\r\n\r\n",
        ACCEPT + ACCEPT,
        ACCEPT + b"HTTP/1.1 503 Later\r\n",
        ACCEPT + b"garbage",
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n\x00",
    ],
)
async def test_answers_after_which_the_connection_is_dropped(hostile: HostileServer, raw: bytes) -> None:
    """What is left over must not be taken for the answer to the next request."""
    hostile.answers(raw)
    async with client(hostile.url) as http:
        for _ in range(3):
            assert await post(http) == HttpAnswer(202)
    assert hostile.connections == 3


async def test_a_connection_that_answered_413_is_dropped(hostile: HostileServer) -> None:
    """Restate closes it without saying so, and the next request would fail with the large one."""
    hostile.answers(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
    async with client(hostile.url) as http:
        for _ in range(2):
            assert await post(http) == HttpAnswer(413)
    assert hostile.connections == 2


async def test_an_answer_that_ends_with_its_connection(hostile: HostileServer) -> None:
    """HTTP/1.0 without a length."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nabc")
        await writer.drain()
        writer.close()

    hostile.script = script
    async with client(hostile.url) as http:
        assert await post(http) == HttpAnswer(200, None, b"abc")


async def test_words_that_nobody_asked_for(hostile: HostileServer) -> None:
    """An idle connection that says anything is dropped before it is used again."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPT)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 503 Poison\r\ncontent-length: 0\r\n\r\n")

    hostile.script = script
    async with client(hostile.url) as http:
        assert await post(http) == HttpAnswer(202)
        await eventually("the drop", lambda: not http._pool._open, interval=0.005)
        assert await post(http) == HttpAnswer(202)


async def test_an_idle_connection_that_is_closed(hostile: HostileServer) -> None:
    """The next request gets a new one."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ACCEPT)
        await writer.drain()
        writer.close()

    hostile.script = script
    async with client(hostile.url) as http:
        for _ in range(3):
            assert await post(http) == HttpAnswer(202)
            await eventually("the close", lambda: not http._pool._open, interval=0.005)


async def test_a_connection_that_is_closed_under_a_request(hostile: HostileServer) -> None:
    """Keep-alive's race: whoever sends is told, and sends again."""
    hostile.answers(ACCEPT)
    async with client(hostile.url) as http:
        await post(http)

        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        hostile.script = close
        assert isinstance(await post(http), RestateUnavailableError)
        hostile.answers(ACCEPT)
        assert await post(http) == HttpAnswer(202)


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 202 Accepted\r\n" + b"x-a: b\r\n" * (HEAD_LIMIT // 4),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_LIMIT // 4),
        b"HTTP/1.1 202 Accepted\r\nx: " + b"y" * HEAD_LIMIT * 2,
    ],
)
async def test_a_flood_of_headers(hostile: HostileServer, flood: bytes) -> None:
    """It is cut, long before the time-out."""
    hostile.answers(flood)
    async with client(hostile.url, patience=30) as http:
        result = await post(http)
    assert isinstance(result, RestateUnavailableError)
    assert not isinstance(result, HttpTimeoutError)


async def test_a_body_is_kept_up_to_its_limit(hostile: HostileServer) -> None:
    """The rest is read and thrown away, if it is little."""
    hostile.answers(b"HTTP/1.1 500 Oops\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000)
    async with client(hostile.url) as http:
        assert await post(http) == HttpAnswer(500, None, b"x" * 2048)
        await post(http)
    assert hostile.connections == 1


async def test_an_answer_longer_than_a_read(hostile: HostileServer) -> None:
    """What comes in several reads is put together, and nothing of the buffer that they share is kept."""
    body = b"".join(b"%05d" % number for number in range(6000))
    hostile.answers(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    http = RestateHttp(RestateSettings(hostile.url), connections=1, body_limit=len(body))
    await http.start()
    try:
        assert [await post(http) for _ in range(2)] == [HttpAnswer(200, None, body)] * 2
    finally:
        await http.stop()


async def test_an_upgrade_is_no_answer(hostile: HostileServer) -> None:
    """Nobody asked for another protocol."""
    hostile.answers(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nPRI")
    async with client(hostile.url) as http:
        assert isinstance(await post(http), RestateUnavailableError)


async def test_an_answer_to_half_a_request() -> None:
    """What is left of the request would be read as the next one, so the connection is dropped."""
    is_read = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
        await is_read.wait()  # the rest of the request is not read before: the client cannot have sent it
        writer.transport.abort()

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    async with client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", patience=60) as http:
        assert await asyncio.wait_for(posted(http, body=b"x" * 30_000_000), 60) == HttpAnswer(503)
        await eventually("the drop", lambda: not http._pool._open, interval=0.005)
        is_read.set()
    server.close()
    await server.wait_closed()


async def test_connections_are_bounded(hostile: HostileServer) -> None:
    """Requests beyond the limit wait for a connection, and all are answered."""
    hostile.answers(ACCEPT)
    async with client(hostile.url, connections=3) as http:
        results = await asyncio.wait_for(asyncio.gather(*(posted(http) for _ in range(50))), 60)
    assert results == [HttpAnswer(202)] * 50
    assert hostile.connections <= 3


async def test_an_answer_is_read_before_the_next_request_leaves(hostile: HostileServer) -> None:
    """Who waited for the connection sends at once; the answer before it is told whole, not as status 0."""
    hostile.answers(b"HTTP/1.1 503 Later\r\nretry-after: 9\r\ncontent-length: 1\r\n\r\nx")
    async with client(hostile.url, connections=1) as http:
        answers = await asyncio.gather(*(posted(http) for _ in range(3)))
    assert answers == [HttpAnswer(503, "9", b"x")] * 3


async def test_waiting_for_a_connection_has_an_end(hostile: HostileServer) -> None:
    """The time-out counts from the post."""
    hostile.script = lambda *_: asyncio.sleep(60)
    async with client(hostile.url, patience=0.2, connections=1) as http:
        results = await asyncio.wait_for(asyncio.gather(posted(http), posted(http)), 60)
    assert [type(each) for each in results] == [HttpTimeoutError] * 2


async def test_a_host_that_does_not_answer() -> None:
    """A full backlog swallows the connection: the connect time-out ends it."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.settimeout(0)
            each.connect_ex(full.getsockname())
        async with client(f"http://127.0.0.1:{full.getsockname()[1]}", patience=0.2) as http:
            assert isinstance(await post(http), HttpTimeoutError)
        for each in fillers:
            each.close()


async def test_a_stop_tells_what_is_under_way(hostile: HostileServer) -> None:
    """Nobody waits for ever: neither for an answer nor for a connection."""
    hostile.script = lambda *_: asyncio.sleep(60)
    async with client(hostile.url, connections=1) as http:
        results = [posted(http), posted(http)]
        await eventually("the request", lambda: hostile.requests, interval=0.005)
    assert all(isinstance(each.result(), RestateUnavailableError) for each in results)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "kallback-bridge-connect"] == []


async def test_idle_connections_are_closed(hostile: HostileServer) -> None:
    """Before a proxy closes them under a request."""
    hostile.answers(ACCEPT)
    async with client(hostile.url) as http:
        await post(http)
        (connection,) = http._pool._open
        connection.deadline = 0.0
        await eventually("the close", lambda: not http._pool._open and not http._pool._free, interval=0.01)
        assert await post(http) == HttpAnswer(202)


async def test_ipv6(hostile_on_ipv6: HostileServer) -> None:
    """Brackets in the address and in the Host header, none for the socket."""
    hostile_on_ipv6.answers(ACCEPT)
    async with client(hostile_on_ipv6.url) as http:
        assert await post(http) == HttpAnswer(202)
    assert f"host: {hostile_on_ipv6.url.removeprefix('http://')}\r\n".encode() in hostile_on_ipv6.requests[0]


@pytest.mark.parametrize(("path", "seen"), [("/base", b"/base/x"), ("/ü/%41?q=1#f", b"/%C3%BC/%41/x")])
async def test_base_paths(hostile: HostileServer, path: str, seen: bytes) -> None:
    """Kept, and quoted where it must be; nothing in it can become a header."""
    hostile.answers(ACCEPT)
    async with client(hostile.url + path) as http:
        await post(http)
    assert hostile.requests[0].startswith(b"POST " + seen + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "url", ["http://:8080", "http://h/a b\r\n", "http://h:99999", "http://user:hunter2@h", "http://" + "a" * 70]
)
async def test_addresses_that_cannot_be_used(url: str) -> None:
    """They name the setting, and show no password."""
    with pytest.raises(ConfigurationError, match="KALLBACK_RESTATE_INGRESS_URL") as caught:
        await RestateHttp(RestateSettings(url)).start()
    assert "hunter2" not in str(caught.value)


async def test_the_bearer_token_is_shown_nowhere(hostile: HostileServer) -> None:
    """Not in errors, not in reprs."""
    hostile.answers(b"garbage\r\n\r\n")
    settings = replace(RestateSettings(hostile.url), auth_token=Secret("hunter2"))
    http = RestateHttp(settings)
    await http.start()
    result = await post(http)
    shown = [repr(http), repr(vars(http)), repr(http._pool._origin), repr(vars(http._pool)), repr(result), str(result)]
    await http.stop()
    assert b"hunter2" in hostile.requests[0]
    assert "hunter2" not in " ".join(shown)


async def test_a_plain_server_behind_https(hostile: HostileServer) -> None:
    """No TLS at the other end is no usable answer, and no end of the bridge."""
    hostile.answers(ACCEPT)
    async with client(hostile.url.replace("http:", "https:"), patience=0.5) as http:
        assert isinstance(await post(http), RestateUnavailableError)


async def test_get(hostile: HostileServer) -> None:
    """A document, or the error."""
    hostile.answers(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
    async with client(hostile.url) as http:
        assert (await http.get("/version")).body == b"hi"
    with pytest.raises(RestateUnavailableError, match="start them first"):
        await http.get("/version")
