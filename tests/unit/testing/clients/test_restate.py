"""The clients of Restate, on a server that says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from kallback.protocol import Problem, UnverifiedError
from kallback.testing import Admin, Ingress


@dataclass
class SilentServer:
    """Reads requests and never answers."""

    url: str
    asked: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
async def server() -> AsyncIterator[SilentServer]:
    """One that listens."""
    asked = asyncio.Event()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            asked.set()
        writer.close()

    async with await asyncio.start_server(read, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield SilentServer(f"http://{host}:{port}", asked)


REQUESTS: dict[str, Callable[[Ingress], Awaitable[object]]] = {
    "call": lambda ingress: ingress.call("Orders/place", 1),
    "send": lambda ingress: ingress.send("Orders/place", 1),
    "attach": lambda ingress: ingress.attach("inv_1"),
    "reject": lambda ingress: ingress.reject("sign_1", "no"),
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_request_that_waits_is_cancelled_with_its_client(
    server: SilentServer, request_of: Callable[[Ingress], Awaitable[object]]
) -> None:
    """A test that fails leaves its requests behind: each would print a traceback of httpx after that of the test."""
    async with Ingress(server.url) as ingress:
        waiting = asyncio.ensure_future(request_of(ingress))
        await server.asked.wait()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_a_request_of_the_admin_client_is_cancelled_as_well(server: SilentServer) -> None:
    """Both clients end in order."""
    async with Admin(server.url) as admin:
        waiting = asyncio.ensure_future(admin.query("SELECT 1"))
        await server.asked.wait()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_what_is_no_token_is_not_answered(server: SilentServer) -> None:
    """The sentence says what is wrong with it; nothing is sent."""
    async with Ingress(server.url) as ingress:
        with pytest.raises(UnverifiedError, match="kb1:"):
            await ingress.complete("sign_1abc", value=True)
        with pytest.raises(UnverifiedError, match="was it cut"):
            await ingress.fail("kb1:dev", Problem("No"))
    assert not server.asked.is_set()
