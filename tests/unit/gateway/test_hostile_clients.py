"""Clients that do not mean well, or speak no HTTP."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.gateway.environment import GatewayEnv, environment, exchange, post, problem

from kallback.gateway import Gateway, GatewayOptions
from kallback.kafka import MemoryClients, OutgoingRecord, Position
from kallback.kafka.memory.clients import MemoryProducer
from kallback.protocol import ConfigurationError
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually
from kallback.web import ServerOptions


def head(env: GatewayEnv, *lines: str) -> bytes:
    """The head of a request with a good token."""
    return "\r\n".join(
        ["POST /v1/result HTTP/1.1", "Host: x", f"Authorization: Bearer {env.make.sign()}", *lines, "", ""]
    ).encode()


def status(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\r\n\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xff\xfe\r\n\r\n", 400),
        (b"POST /v1/result\r\n\r\n", 400),
        (b"POST /v1/result HTTP/1.1\r\n\r\n", 400),
        (b"POST /v1/result HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"POST /" + b"x" * 40_000, 431),
        (b"POST /v1/result HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/result HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /v1/result HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
    ],
)
async def test_what_is_no_request_is_refused(env: GatewayEnv, raw: bytes, expected: int) -> None:
    """With a problem object; the connection is closed, and the gateway goes on."""
    async with env.running() as gateway:
        answer = await exchange(gateway, raw)
        after = await post(gateway, "/v1/result", b"1", authorization=f"Bearer {env.make.sign()}")

    assert status(answer) == expected
    assert b"application/problem+json" in answer
    assert after.status_code == 202


async def test_a_body_in_tiny_chunks_takes_no_more_memory_than_its_bytes(env: GatewayEnv) -> None:
    """What is counted of a body is what it takes: otherwise chunks of two bytes pass the bound of all bodies."""
    chunks = 50_000
    async with env.running() as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head(env, "Transfer-Encoding: chunked"))
        await writer.drain()
        tracemalloc.start()
        try:
            for _ in range(chunks // 1000):
                writer.write(b"2\r\nab\r\n" * 1000)
                await writer.drain()
            await eventually("the body", lambda: gateway.stats.buffered_bytes == 2 * chunks, timeout=60)
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            writer.close()
    assert taken < 10 * 2 * chunks


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused(env: GatewayEnv, declared: bool) -> None:  # noqa: FBT001
    """By its declared length before a byte of it is read, and without one as soon as it is too long."""
    lines = "Content-Length: 1001" if declared else "Transfer-Encoding: chunked"
    chunk = b"" if declared else b"3e9\r\n" + b"x" * 1001 + b"\r\n"
    async with env.running(max_body_bytes=1000) as gateway:
        answer = await exchange(gateway, head(env, lines) + chunk)
        assert gateway.stats.buffered_bytes == 0

    assert status(answer) == 413
    assert env.records() == []


async def test_a_client_without_a_token_sends_no_body(env: GatewayEnv) -> None:
    """It is answered after the head, although it announced a body that never comes."""
    async with env.running(request_timeout=600) as gateway:
        raw = b"POST /v1/result HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        answer = await exchange(gateway, raw)

    assert status(answer) == 401


async def test_a_large_body_without_a_token_still_gets_its_answer(env: GatewayEnv) -> None:
    """The client sees why it is refused, not a reset connection."""
    async with env.running() as gateway:
        answer = await post(gateway, "/v1/result", b"x" * 700_000, authorization="Bearer x")

    assert (answer.status_code, problem(answer)) == (401, "unverified-token")


async def test_bodies_of_all_connections_share_one_bound(env: GatewayEnv) -> None:
    """A client that holds memory makes another one wait, until it is gone."""
    async with env.running(max_body_bytes=1000, max_buffered_bytes=1000) as gateway:
        _, holder = await asyncio.open_connection("127.0.0.1", gateway.port)
        holder.write(head(env, "Content-Length: 900") + b"x" * 899)

        async def is_held() -> bool:
            return gateway.stats.buffered_bytes == 899

        await eventually("the bytes are read", is_held)
        refused = await post(gateway, "/v1/result", b'"' + b"x" * 200 + b'"', authorization=f"Bearer {env.make.sign()}")
        holder.transport.abort()

        async def is_free() -> bool:
            return gateway.stats.buffered_bytes == 0

        await eventually("the bytes are free", is_free)
        accepted = await post(
            gateway, "/v1/result", b'"' + b"x" * 200 + b'"', authorization=f"Bearer {env.make.sign()}"
        )

    assert (refused.status_code, problem(refused), accepted.status_code) == (503, "busy", 202)


async def test_a_slow_request_is_ended(env: GatewayEnv) -> None:
    """However many bytes come now and then: the time is of the whole request."""
    async with env.running(request_timeout=0.3) as gateway:
        answer = await exchange(gateway, head(env, "Content-Length: 10") + b"123")

    assert status(answer) == 408
    assert env.records() == []


async def test_a_client_that_says_nothing_is_hung_up_on(env: GatewayEnv) -> None:
    """Without an answer, since nothing was asked."""
    async with env.running(request_timeout=0.3) as gateway:
        assert await exchange(gateway, b"") == b""


async def test_silent_connections_keep_no_one_out(env: GatewayEnv) -> None:
    """When all connections are taken, the oldest silent one makes room."""
    async with env.running(max_connections=4, request_timeout=600) as gateway:
        silent = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(10)]
        answer = await post(gateway, "/v1/result", b"1", authorization=f"Bearer {env.make.sign()}")
        assert gateway.stats.connections <= 4
        for _, writer in silent:
            writer.transport.abort()

    assert answer.status_code == 202


async def test_a_record_that_is_being_written_keeps_its_connection(
    env: GatewayEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newcomers are turned away rather than a client whose record Kafka has perhaps."""
    sent, acknowledged = asyncio.Event(), asyncio.Event()
    write = MemoryProducer.send

    async def send(self: MemoryProducer, record: OutgoingRecord) -> Position:
        sent.set()
        await acknowledged.wait()
        return await write(self, record)

    monkeypatch.setattr(MemoryProducer, "send", send)
    async with env.running(max_connections=1) as gateway:
        writing = asyncio.create_task(exchange(gateway, head(env, "Content-Length: 1", "Connection: close") + b"1"))
        await sent.wait()
        assert await exchange(gateway, b"") == b""
        acknowledged.set()
        assert status(await writing) == 202
        assert gateway.stats.closed_connections == 1


async def test_a_stop_answers_what_is_being_written(env: GatewayEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gets its 202, and idle connections are closed at once."""
    sent, acknowledged = asyncio.Event(), asyncio.Event()
    write = MemoryProducer.send

    async def send(self: MemoryProducer, record: OutgoingRecord) -> Position:
        sent.set()
        await acknowledged.wait()
        return await write(self, record)

    monkeypatch.setattr(MemoryProducer, "send", send)
    async with env.running(drain_timeout=600) as gateway:
        idle, _ = await asyncio.open_connection("127.0.0.1", gateway.port)
        writing = asyncio.create_task(exchange(gateway, head(env, "Content-Length: 1") + b"1"))
        await sent.wait()
        stopping = asyncio.create_task(gateway.stop())
        assert await idle.read() == b""
        acknowledged.set()
        answer = await writing
        await stopping

    assert status(answer) == 202
    assert b"Connection: close" in answer
    assert len(env.records()) == 1


async def test_a_connection_takes_one_request_after_the_other(env: GatewayEnv) -> None:
    """Also when a client sends the second one before the first is answered."""
    request = head(env, "Content-Length: 1") + b"1"
    async with env.running() as gateway:
        answer = await exchange(gateway, request + request.replace(b"Host: x", b"Host: x\r\nConnection: close"))

    assert answer.count(b"HTTP/1.1 202 ") == 2
    assert len(env.records()) == 2


async def test_a_body_of_two_lengths_is_refused(env: GatewayEnv) -> None:
    """A proxy may believe the other one, and take what follows for a request that it has not seen."""
    hidden = b"POST /v1/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    async with env.running() as gateway:
        answer = await exchange(
            gateway, head(env, "Content-Length: 48", "Transfer-Encoding: chunked") + b"1\r\n1\r\n0\r\n\r\n" + hidden
        )

    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert env.records() == []


@pytest.mark.parametrize(
    ("lines", "body", "expected", "written"),
    [
        (["Transfer-Encoding: chunked"], b"1\r\n1\r\n0\r\n\r\n", 400, []),
        (["Transfer-Encoding: chunked", "Connection: keep-alive"], b"1\r\n1\r\n0\r\n\r\n", 400, []),
        (["Content-Length: 1"], b"1", 202, [b"1"]),
    ],
)
async def test_an_encoding_that_http_1_0_does_not_have_is_refused(
    env: GatewayEnv, lines: list[str], body: bytes, expected: int, written: list[bytes]
) -> None:
    """A proxy that speaks HTTP/1.0 would take the body for the next request."""
    async with env.running() as gateway:
        answer = await exchange(gateway, head(env, *lines).replace(b"HTTP/1.1", b"HTTP/1.0") + body)

    assert status(answer) == expected
    assert [record.value for record in env.records()] == written


async def test_a_client_that_asks_first_is_told_to_go_on(env: GatewayEnv) -> None:
    """Curl does so with larger bodies; without a good token it is told no before it sends."""
    request = head(env, "Content-Length: 1", "Expect: 100-continue", "Connection: close")
    async with env.running() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request)
        async with asyncio.timeout(30):
            interim = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"1")
            answer = await reader.read()
        writer.close()
        refused = await exchange(gateway, request.replace(b"Bearer kb1", b"Bearer kb2"))

    assert (status(interim), status(answer), status(refused)) == (100, 202, 401)


async def test_tokens_are_in_no_log_line(env: GatewayEnv) -> None:
    """Of links and headers, good and bad, whatever becomes of them."""
    text = env.make.sign()
    async with env.running() as gateway:
        with capture_logs() as lines:
            for path in (f"/v1/{text}", f"/v1/{text}x", f"/v1/{text}/other"):
                await post(gateway, path, b"1")
                await exchange(gateway, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n".encode())

    assert lines
    assert text.split(":")[5] not in str(lines)
    assert text[-22:] not in str(lines)


async def test_a_taken_port_is_said(env: GatewayEnv) -> None:
    """With the options that choose another one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = GatewayOptions(server=ServerOptions(port=taken.getsockname()[1]))
        with pytest.raises(ConfigurationError, match="--port"):
            await Gateway(env.settings, options, kafka=MemoryClients(env.broker)).start()


_PARTS = st.one_of(st.binary(max_size=40), st.sampled_from([b"POST", b"GET", b"/v1/result", b"HTTP/1.1", b"kb1:"]))
_REQUESTS = st.builds(
    lambda parts, headers: (
        b" ".join(parts) + b"\r\nHost: x\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n"
    ),
    st.lists(_PARTS, min_size=2, max_size=4),
    st.lists(st.tuples(st.one_of(st.sampled_from([b"Authorization", b"Content-Length"]), _PARTS), _PARTS), max_size=4),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.one_of(_REQUESTS, st.binary(max_size=200)))
async def test_whatever_is_sent_has_a_whole_answer_or_none(raw: bytes) -> None:
    """And no server error, and nothing is written."""
    env = environment()
    async with env.running(requests_per_second=0) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(raw)
        writer.write_eof()
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
        assert ("unknown", "internal") not in gateway.stats.requests

    start, _, body = answer.partition(b"\r\n\r\n")
    assert not answer or start.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501", b"HTTP/1.1 200"))
    assert not body or b"Content-Length: %d\r\n" % len(body) in answer or answer.count(b"HTTP/1.1") > 1
    assert env.records() == []
