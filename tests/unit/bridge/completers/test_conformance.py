"""What every HTTP completer makes of hostile servers: a reply for each completion, in time, never an exception.

A further completer joins by an entry in `KINDS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import pytest
from tests.unit.bridge.factories import RecordFactory
from tests.unit.bridge.hostile_server import HostileServer

from kallback.bridge import (
    Accepted,
    Completer,
    Completion,
    IngressCompleter,
    Misconfigured,
    NotifierCompleter,
    Rejected,
    Reply,
    Retry,
    TooLarge,
    complete,
)
from kallback.protocol import Completed
from kallback.settings import RestateSettings


@dataclass(frozen=True)
class Kind:
    """One implementation: how it is made, and what a server that accepts one completion answers."""

    make: Callable[[RestateSettings], Completer]
    accepting: bytes


VERDICTS = b'[{"outcome":"delivered"}]'
KINDS = {
    "ingress": Kind(IngressCompleter, b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"),
    "notifier": Kind(NotifierCompleter, b"HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n" + VERDICTS),
}


@dataclass
class Subject:
    """A started completer, and the server it talks to."""

    completer: Completer
    server: HostileServer
    completion: Completion
    kind: Kind

    async def reply(self) -> Reply:
        """Complete one."""
        (reply,) = await complete(self.completer, [self.completion])
        return reply


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
async def subject(
    request: pytest.FixtureRequest, hostile: HostileServer, make: RecordFactory
) -> AsyncGenerator[Subject]:
    """Each completer in turn, with short time-outs."""
    completer = request.param.make(RestateSettings(hostile.url, hostile.url, connect_timeout=1.0, request_timeout=1.0))
    await completer.start()
    hostile.answers(request.param.accepting)
    token = make.token()
    yield Subject(completer, hostile, Completion(make.sign(token), token, Completed(b'{"a":1}')), request.param)
    await completer.stop()


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class TestCompleterConformance:
    """The rules of the seam."""

    async def test_an_accepting_server(self, subject: Subject) -> None:
        """The good case."""
        assert isinstance(await subject.reply(), Accepted)

    async def test_replies_are_as_many_as_completions(self, subject: Subject) -> None:
        """A reply for each, in order."""
        batch = [subject.completion] * min(2, subject.completer.batch_limit)
        assert len(await complete(subject.completer, batch)) == len(batch)

    async def test_connections_are_kept(self, subject: Subject) -> None:
        """One after the other needs one connection."""
        for _ in range(5):
            await subject.reply()
        assert subject.server.connections == 1

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (answer("400 Bad Request", b'{"code":400,"message":"bad awakeable id"}'), Rejected),
            (answer("400 Bad Request", b"The plain HTTP request was sent to HTTPS port"), Misconfigured),
            (answer("401 Unauthorized"), Misconfigured),
            (answer("403 Forbidden"), Misconfigured),
            (answer("404 Not Found"), Misconfigured),
            (answer("301 Moved", b"", "location: http://127.0.0.1:1/"), Misconfigured),
            (answer("413 Content Too Large"), TooLarge),
            (answer("429 Too Many Requests", b"", "retry-after: 7"), Retry),
            (answer("500 Internal Server Error"), Retry),
            (answer("503 Service Unavailable", b"routing"), Retry),
            (b"HTTP/9.9 banana\r\n\r\n", Retry),
            (b"\x00\xff" * 100 + b"\r\n\r\n", Retry),
            (b"HTTP/1.1 202 Acc\r\nx: " + b"a" * 2_000_000 + b"\r\n\r\n", Retry),
            (b"HTTP/1.1 503 X\r\ncontent-length: -5\r\n\r\n", Retry),
        ],
    )
    async def test_answers(self, subject: Subject, raw: bytes, expected: type) -> None:
        """Each answer means one thing."""
        subject.server.answers(raw)
        assert isinstance(await subject.reply(), expected)

    async def test_retry_after_is_handed_on(self, subject: Subject) -> None:
        """The server may say when."""
        subject.server.answers(answer("429 Slow", b"", "retry-after: 7"))
        reply = await subject.reply()
        assert isinstance(reply, Retry)
        assert reply.after == 7

    async def test_an_endless_body_is_not_read(self, subject: Subject) -> None:
        """A gigabyte of error page neither fills the memory nor takes the time-out."""

        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 1000000000\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

        subject.server.script = flood
        reply = await subject.reply()
        assert isinstance(reply, Retry)
        assert reply.label == "500"

    async def test_a_bomb_is_not_unpacked(self, subject: Subject) -> None:
        """Compressed bodies stay compressed."""
        subject.server.answers(answer("503 Oops", b"\x1f\x8b\x08\x00", "content-encoding: gzip"))
        reply = await subject.reply()
        assert isinstance(reply, Retry)
        assert reply.label == "503"

    async def test_a_slow_drip(self, subject: Subject) -> None:
        """The whole answer has one time-out, not each byte."""

        async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for byte in b"HTTP/1.1 202 Accepted\r\n" * 10:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)

        subject.server.script = drip
        reply = await subject.reply()
        assert isinstance(reply, Retry)
        assert reply.label == "timeout"

    async def test_a_server_that_hangs(self, subject: Subject) -> None:
        """The call ends by itself."""
        subject.server.script = lambda *_: asyncio.sleep(60)
        reply = await subject.reply()
        assert isinstance(reply, Retry)
        assert reply.label == "timeout"

    @pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 202 Acc", b"HTTP/1.1 202 Accepted\r\nx: y\r\n"])
    async def test_a_connection_that_is_cut(self, subject: Subject, beginning: bytes) -> None:
        """Half an answer is none."""

        async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(beginning)
            await asyncio.sleep(0)
            writer.transport.abort()

        subject.server.script = cut
        reply = await subject.reply()
        assert isinstance(reply, Retry)
        assert reply.label == "unreachable"

    async def test_half_an_error_page(self, subject: Subject) -> None:
        """The status counts, even if its body is cut."""

        async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nabc")
            await writer.drain()
            writer.close()

        subject.server.script = cut
        assert isinstance(await subject.reply(), Retry)

    async def test_a_restate_that_is_unavailable(self, subject: Subject) -> None:
        """A refused connection is a retry, not the end."""
        away = subject.kind.make(RestateSettings("http://127.0.0.1:9", "http://127.0.0.1:9"))
        await away.start()
        (reply,) = await complete(away, [subject.completion])
        await away.stop()
        assert isinstance(reply, Retry)
        assert reply.label == "unreachable"

    async def test_stopping_twice(self, subject: Subject) -> None:
        """A stopped completer answers, and may be stopped again."""
        await subject.completer.stop()
        await subject.completer.stop()
        assert isinstance(await subject.reply(), Retry)
