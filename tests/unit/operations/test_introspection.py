"""What Restate's answers to queries mean, each in a sentence with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest

from kallback.operations import Introspection
from kallback.operations import introspection as introspection_module
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KallbackError,
    RestateUnavailableError,
    UnsupportedServerError,
)
from kallback.settings import RestateSettings


class Named(msgspec.Struct):
    """A row."""

    name: str


@asynccontextmanager
async def answering(status: int, body: str) -> AsyncGenerator[Introspection]:
    """Introspection of a server that gives every query one answer, and wants JSON to be asked for."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"post /query ")
        assert b"accept: application/json\r\n" in head
        writer.write(f"HTTP/1.1 {status} -\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Introspection(RestateSettings(admin_url=f"http://127.0.0.1:{port}")) as introspection:
            yield introspection


@asynccontextmanager
async def slow(
    monkeypatch: pytest.MonkeyPatch, *, healthy: bool, says_so: bool = True
) -> AsyncGenerator[Introspection]:
    """Introspection of a server that answers queries when it was asked for its health, or nothing at all.

    Whether it answers the question for its health, too, is `says_so`.
    """
    monkeypatch.setattr(introspection_module, "_HEALTH_INTERVAL_S", 0.01)
    monkeypatch.setattr(introspection_module, "_HEALTH_TIMEOUT_S", 1.0 if healthy else 0.1)
    asked, ended = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health "):
            asked.set()
        body = '{"rows": [{"name": "late"}]}'
        silent = not healthy or (not says_so and head.startswith(b"GET /health "))
        await (ended if silent else asked).wait()
        writer.write(f"HTTP/1.1 200 -\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Introspection(RestateSettings(admin_url=f"http://127.0.0.1:{port}")) as introspection:
            yield introspection
        ended.set()


async def test_a_restate_that_accepts_connections_and_is_silent_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the request timeout, which is for queries that take long."""
    async with slow(monkeypatch, healthy=False) as introspection:
        with pytest.raises(RestateUnavailableError, match="accepts connections and does not answer"):
            await introspection.rows("SELECT name FROM x", Named)


async def test_a_query_may_take_long_while_restate_answers_its_health_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for."""
    async with slow(monkeypatch, healthy=True) as introspection:
        assert await introspection.rows("SELECT name FROM x", Named) == [Named("late")]


async def test_an_answer_that_comes_before_the_one_for_the_health_page_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that keeps Restate busy delays its health page, too."""
    async with slow(monkeypatch, healthy=True, says_so=False) as introspection:
        assert await introspection.rows("SELECT name FROM x", Named) == [Named("late")]


async def test_rows_are_typed() -> None:
    """Columns that nobody asked for are ignored."""
    async with answering(200, '{"rows": [{"name": "a", "more": 1}]}') as introspection:
        assert await introspection.rows("SELECT name FROM x", Named) == [Named("a")]


@pytest.mark.parametrize(
    ("status", "body", "kind", "remedy"),
    [
        (429, "", RestateUnavailableError, "try again in a few seconds"),
        (401, "", AccessDeniedError, "KALLBACK_RESTATE_AUTH_TOKEN"),
        (404, "", ConfigurationError, "port 9070"),
        (400, '{"code":400,"message":"bad path: /query","source":"ingress"}', ConfigurationError, "not the ingress"),
        (500, '{"message": "table \'sys_journal\' not found"}', UnsupportedServerError, "upgrade it to 1.7.0"),
        (200, '{"rows":[{"name":"a"},{"na', RestateUnavailableError, "ended in the middle: try again"),
        (503, "<html>", RestateUnavailableError, "try again later"),
        (200, "<html>", ConfigurationError, "correct KALLBACK_RESTATE_ADMIN_URL"),
        (200, '{"rows": [{"name": 1}]}', ConfigurationError, "correct KALLBACK_RESTATE_ADMIN_URL"),
        (200, f'{{"rows":{"[" * 50_000}{"]" * 50_000}}}', ConfigurationError, "correct KALLBACK_RESTATE_ADMIN_URL"),
        (500, f'{{"message":{"[" * 50_000}{"]" * 50_000}}}', RestateUnavailableError, "no reason given"),
    ],
)
async def test_a_refused_query_names_the_remedy(status: int, body: str, kind: type[KallbackError], remedy: str) -> None:
    """Whatever stands at the address."""
    async with answering(status, body) as introspection:
        with pytest.raises(kind, match=remedy):
            await introspection.rows("SELECT name FROM x", Named)


async def test_an_absent_server_is_unavailable() -> None:
    """The sentence names the setting of the admin address, not the ingress."""
    async with Introspection(RestateSettings(admin_url="http://127.0.0.1:1")) as introspection:
        with pytest.raises(RestateUnavailableError, match="KALLBACK_RESTATE_ADMIN_URL"):
            await introspection.rows("SELECT name FROM x", Named)
