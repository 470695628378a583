"""HTTP/2 through the client, with a server that does what the test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from tests.unit.bridge.hostile_http2 import HostileHttp2, Peer, Request, serve_http2
from tests.unit.bridge.hostile_server import HostileServer

from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.http2 import frames
from kallback.bridge.restate.http2.frames import Code, frame
from kallback.bridge.restate.requests import HttpAnswer, HttpResult, HttpTimeoutError
from kallback.protocol import RestateUnavailableError
from kallback.settings import HttpVersion, RestateSettings, Secret
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually


@pytest.fixture
async def server() -> AsyncGenerator[HostileHttp2]:
    """A server of HTTP/2."""
    async with serve_http2() as found:
        yield found


@asynccontextmanager
async def client(
    url: str,
    *,
    patience: float = 30.0,
    connect: float = 30.0,
    streams: int = 4,
    version: HttpVersion = HttpVersion.HTTP_2,
    token: str | None = None,
) -> AsyncGenerator[RestateHttp]:
    """A started client."""
    secret = None if token is None else Secret(token)
    settings = RestateSettings(
        url, connect_timeout=connect, request_timeout=patience, http_version=version, auth_token=secret
    )
    http = RestateHttp(settings, connections=4, streams=streams)
    await http.start()
    try:
        yield http
    finally:
        await http.stop()


def posted(http: RestateHttp, body: bytes = b"{}") -> asyncio.Future[HttpResult]:
    """Post; the future has what was told."""
    came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()
    http.post("/x", body, content_type="application/json", on_result=came.set_result)
    return came


async def post(http: RestateHttp, body: bytes = b"{}") -> HttpResult:
    """Post and wait; a callback that never comes fails the test."""
    return await asyncio.wait_for(posted(http, body), 60)


async def test_a_request_and_its_answer(server: HostileHttp2) -> None:
    """The same request as over HTTP/1.1, and all of the answer; one connection carries many."""
    server.script = lambda peer, request: peer.answer(request.stream, 503, ("retry-after", "9"), body=b"later")
    async with client(server.url + "/base", token="hunter2") as http:
        assert [await post(http) for _ in range(3)] == [HttpAnswer(503, "9", b"later")] * 3
    assert len(server.peers) == 1
    assert server.requests[0].body == b"{}"
    assert server.requests[0].headers == {
        ":method": "POST",
        ":scheme": "http",
        ":authority": server.url.removeprefix("http://"),
        ":path": "/base/x",
        "user-agent": "kallback-bridge",
        "authorization": "Bearer hunter2",
        "content-type": "application/json",
        "content-length": "2",
    }


async def test_get(server: HostileHttp2) -> None:
    """A document longer than a read; of a body that is too long its beginning."""
    server.script = lambda peer, request: peer.answer(request.stream, 200, body=b"x" * 30_000)
    async with client(server.url) as http:
        assert await http.get("/version") == HttpAnswer(200, None, b"x" * 2048)
    assert "content-length" not in server.requests[0].headers


async def test_requests_beyond_the_limits_wait(server: HostileHttp2) -> None:
    """Two connections at most, each with its part of the requests, and with no more than the server allows."""
    server.settings = {frames.MAX_CONCURRENT_STREAMS: 1}
    under_way = [0, 0]

    async def script(peer: Peer, request: Request) -> None:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0)
        under_way[0] -= 1
        peer.answer(request.stream, 202)

    server.script = script
    async with client(server.url, streams=8) as http:
        results = await asyncio.wait_for(asyncio.gather(*(posted(http) for _ in range(50))), 60)
    assert results == [HttpAnswer(202)] * 50
    assert len(server.peers) <= 2
    assert under_way[1] <= 2


async def test_a_server_that_allows_fewer_requests_gets_no_more(server: HostileHttp2) -> None:
    """Also where more are under way already: the next ones wait, or take the other connection."""
    under_way: dict[Peer, set[int]] = {}
    too_many = list[int]()

    def script(peer: Peer, request: Request) -> None:
        streams = under_way.setdefault(peer, set())
        if len(server.requests) > 10 and len(streams) >= 3:
            too_many.append(request.stream)
        streams.add(request.stream)
        if len(server.requests) == 10:
            peer.send(frames.settings({frames.MAX_CONCURRENT_STREAMS: 3}))
            streams.remove(1)
            peer.answer(1, 202)
        elif len(server.requests) > 10:
            peer.answer(request.stream, 202)
            streams.remove(request.stream)

    server.script = script
    async with client(server.url, streams=40) as http:
        first = [posted(http) for _ in range(10)]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        assert await asyncio.gather(*(post(http) for _ in range(5))) == [HttpAnswer(202)] * 5
    assert too_many == []


async def test_a_server_that_reads_nothing_gets_no_more_requests(server: HostileHttp2) -> None:
    """They would fill memory, if it answered all the same."""
    async with client(server.url) as http:
        await asyncio.gather(*(post(http) for _ in range(4)))
        connections = list(http._pool._open)
        assert len(connections) == 2
        for connection in connections:
            connection.pause_writing()  # type: ignore[attr-defined]
        waiting = posted(http)
        assert len(http._pool._waiting) == 1
        connections[0].resume_writing()  # type: ignore[attr-defined]
        assert await asyncio.wait_for(waiting, 60) == HttpAnswer(202)


async def test_a_large_body_goes_through_small_windows(server: HostileHttp2) -> None:
    """Piece by piece, while small ones pass."""
    server.settings = {frames.INITIAL_WINDOW_SIZE: 1000}
    async with client(server.url) as http:
        results = await asyncio.wait_for(asyncio.gather(*(posted(http, body) for body in (b"x" * 300_000, b"{}"))), 60)
    assert results == [HttpAnswer(202)] * 2
    assert sorted(len(each.body) for each in server.requests) == [2, 300_000]


async def test_windows_that_are_never_raised(server: HostileHttp2) -> None:
    """The request times out; what waits is dropped."""
    server.credits = False
    async with client(server.url, patience=0.3) as http:
        assert isinstance(await post(http, b"x" * 300_000), HttpTimeoutError)
        assert await post(http) == HttpAnswer(202)


async def test_an_answer_that_does_not_come(server: HostileHttp2) -> None:
    """Its connection is given up, as with HTTP/1.1: it may be dead."""
    server.script = lambda *_: None
    async with client(server.url, patience=0.3) as http:
        assert isinstance(await post(http), HttpTimeoutError)
        server.script = lambda peer, request: peer.answer(request.stream, 202)
        assert await post(http) == HttpAnswer(202)
    assert len(server.peers) == 2
    assert frames.RST_STREAM in {each.kind for each in server.peers[0].frames}


async def test_the_status_counts_whatever_becomes_of_the_body(server: HostileHttp2) -> None:
    """A 503 that never ends is a 503."""

    def script(peer: Peer, request: Request) -> None:
        peer.send(frame(frames.HEADERS, frames.END_HEADERS, request.stream, peer.block((":status", "503"))))

    server.script = script
    async with client(server.url, patience=0.3) as http:
        assert await post(http) == HttpAnswer(503)


async def test_a_connection_that_is_closed_under_a_request(server: HostileHttp2) -> None:
    """It may have been processed, so the sender is told, and the next request gets a new connection."""
    server.script = lambda peer, _: peer.writer.transport.abort()
    async with client(server.url) as http:
        assert isinstance(await post(http), RestateUnavailableError)
        server.script = lambda peer, request: peer.answer(request.stream, 202)
        assert await post(http) == HttpAnswer(202)


async def test_a_server_that_goes_away(server: HostileHttp2) -> None:
    """What it has not looked at goes over a new connection, without a failure for the sender."""

    def script(peer: Peer, request: Request) -> None:
        if peer is server.peers[0]:
            peer.send(frame(frames.GOAWAY, 0, 0, bytes(8)))
        else:
            peer.answer(request.stream, 202)

    server.script = script
    async with client(server.url) as http:
        assert await post(http) == HttpAnswer(202)
    assert len(server.peers) == 2


async def test_requests_that_wait_do_not_wait_for_a_connection_that_ends(server: HostileHttp2) -> None:
    """It goes away, but one of its requests hangs: a new connection takes those that wait."""
    server.settings = {frames.MAX_CONCURRENT_STREAMS: 1}

    def script(peer: Peer, request: Request) -> None:
        if peer in server.peers[:2]:
            peer.send(frame(frames.GOAWAY, 0, 0, frames.LAST_STREAM.to_bytes(4) + bytes(4)))
        else:
            peer.answer(request.stream, 202)

    server.script = script
    async with client(server.url) as http:
        results = [posted(http) for _ in range(6)]
        await eventually("the answers", lambda: sum(each.done() for each in results) == 4, interval=0.005)


@pytest.mark.parametrize(
    "greeting",
    [
        frames.settings({}) + frame(frames.GOAWAY, 0, 0, bytes(8)),
        frames.settings({frames.MAX_CONCURRENT_STREAMS: 0}),
    ],
)
async def test_connections_that_take_no_request_do_not_follow_each_other(server: HostileHttp2, greeting: bytes) -> None:
    """Each one tells a sender, who knows about backoff: thousands were opened until the request timed out."""
    accepted = list[bytes]()

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(await reader.readexactly(len(frames.PREFACE)))
        writer.write(greeting)
        writer.close()

    server.serve = close  # type: ignore[method-assign]
    async with client(server.url) as http:
        result = await post(http)
    assert isinstance(result, RestateUnavailableError)
    assert not isinstance(result, HttpTimeoutError)
    assert len(accepted) <= 2


async def test_a_server_that_refuses_for_ever(server: HostileHttp2) -> None:
    """The sender is told after three times: it knows about backoff."""
    server.script = lambda peer, request: peer.send(frames.reset(request.stream, Code.REFUSED_STREAM))
    async with client(server.url) as http:
        assert isinstance(await post(http), RestateUnavailableError)
    assert len(server.requests) == 3


async def test_a_stop_tells_what_is_under_way(server: HostileHttp2) -> None:
    """Both what was sent and what waits."""
    server.script = lambda *_: None
    async with client(server.url, streams=2) as http:
        results = [posted(http) for _ in range(4)]
        await eventually("the requests", lambda: len(server.requests) == 2, interval=0.005)
    assert all(isinstance(each.result(), RestateUnavailableError) for each in results)


async def test_idle_connections_are_closed(server: HostileHttp2) -> None:
    """Before a proxy closes them under a request."""
    async with client(server.url) as http:
        await post(http)
        (connection,) = http._pool._open
        connection.deadline = 0.0
        await eventually("the close", lambda: not (http._pool._open or http._pool._retired), interval=0.01)
        assert await post(http) == HttpAnswer(202)


@pytest.mark.parametrize(
    "flood",
    [
        frame(frames.PING, 0, 0, bytes(8)) * 20_000,
        frames.settings({}) * 20_000,
        frame(frames.HEADERS, 0, 1, b"") + frame(frames.CONTINUATION, 0, 1, b"x" * 10_000) * 10,
        b"garbage" * 100,
    ],
)
async def test_floods_end_the_connection(server: HostileHttp2, flood: bytes) -> None:
    """Long before the timeout."""
    server.script = lambda peer, _: peer.send(flood)
    async with client(server.url) as http:
        result = await post(http)
    assert isinstance(result, RestateUnavailableError)
    assert not isinstance(result, HttpTimeoutError)


@pytest.mark.parametrize("of", [frames.RST_STREAM, frames.GOAWAY])
async def test_http1_where_the_server_wants_it(server: HostileHttp2, of: int) -> None:
    """It says HTTP_1_1_REQUIRED: from then on HTTP/1.1 is used, which this server does not speak."""
    code = Code.HTTP_1_1_REQUIRED
    going = frame(frames.GOAWAY, 0, 0, bytes(4) + code.to_bytes(4))
    server.script = lambda peer, request: peer.send(
        going if of == frames.GOAWAY else frames.reset(request.stream, code)
    )
    async with client(server.url) as http:
        results = [await post(http) for _ in range(2)]
        assert http._pool._versions.http2 is False
    assert ["that is not HTTP/1.1" in str(each) for each in results] == [True, True]
    assert len(server.requests) == 1


async def test_a_server_of_http1_is_noticed_once(hostile: HostileServer) -> None:
    """And said once; no request fails because of it."""
    hostile.answers(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
    with capture_logs("kallback.bridge") as lines:
        async with client(hostile.url) as http:
            results = await asyncio.wait_for(asyncio.gather(*(posted(http) for _ in range(20))), 60)
    assert results == [HttpAnswer(202)] * 20
    assert len(lines) == 1


@pytest.mark.parametrize("silent", ["closes", "hangs"])
async def test_a_server_that_does_not_answer_the_preface(silent: str) -> None:
    """It closes the connection or keeps silent: HTTP/1.1 is tried, and its first answer settles it."""
    begins = list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        begins.append(head[:3])
        if head.startswith(b"POST"):
            await reader.readexactly(2)
            writer.write(b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        elif silent == "hangs":
            await reader.read(-1)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with client(url, connect=2.0 if silent == "hangs" else 30.0) as http:
        assert [await post(http) for _ in range(2)] == [HttpAnswer(202)] * 2
    listening.close()
    await listening.wait_closed()
    assert begins.count(b"PRI") == 1


async def test_an_outage_does_not_settle_the_version(server: HostileHttp2) -> None:
    """A connection that is closed at once may be of a server that ends: HTTP/2 is tried again."""
    server.greeting = b""
    async with client(server.url) as http:

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del reader
            writer.transport.abort()

        serve, server.serve = server.serve, refuse  # type: ignore[method-assign]
        assert isinstance(await post(http), RestateUnavailableError)
        server.serve, server.greeting = serve, None  # type: ignore[method-assign]
        assert await post(http) == HttpAnswer(202)
    assert server.requests[0].headers[":path"] == "/x"


async def test_http1_only(server: HostileHttp2) -> None:
    """Who sets the version gets no preface."""
    async with client(server.url, version=HttpVersion.HTTP_1_1, patience=0.2) as http:
        assert isinstance(await post(http), RestateUnavailableError)
    assert server.requests == []


async def test_the_bearer_token_is_shown_nowhere(server: HostileHttp2) -> None:
    """Not in errors, not in reprs."""
    server.script = lambda peer, _: peer.send(b"garbage" * 10)
    async with client(server.url, token="hunter2") as http:
        result = await post(http)
        shown = [repr(http), repr(vars(http)), repr(vars(http._pool)), repr(result), str(result)]
    assert "hunter2" not in " ".join(shown)


def test_requests_are_written_together() -> None:
    """One write for what one turn of the loop sends: that is what HTTP/2 is used for."""

    async def writes() -> tuple[int, int]:
        async with serve_http2() as server, client(server.url, streams=40) as http:
            await post(http)
            (connection,) = http._pool._open
            transport = connection._transport  # type: ignore[attr-defined]
            count, write = [0], transport.write

            def counted(data: bytes) -> None:
                count[0] += 1
                write(data)

            transport.write = counted
            await asyncio.gather(*(posted(http) for _ in range(20)))
            return count[0], len(server.requests)

    assert asyncio.run(writes()) == (1, 21)


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="an option of Linux")
async def test_what_is_read_is_acknowledged_at_once(server: HostileHttp2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restate sends no further small answer before that, and Linux waits up to 40 ms: a third of the rate was left."""
    async with client(server.url) as http:
        await post(http)
        (connection,) = http._pool._open
        options: list[tuple[int, int, int]] = []
        recorder = SimpleNamespace(setsockopt=lambda *option: options.append(option))
        monkeypatch.setattr(connection, "_socket", recorder)
        for count in (1, 2):
            await post(http)
            assert len(options) >= count
    assert set(options) == {(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)}
