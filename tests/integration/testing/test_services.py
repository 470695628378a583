"""Services served from the test or from a process, and the clients that call them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.testing import greeter

from kallback.testing import Admin, Ingress, RestateError, ServiceProcess, eventually, serve_endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kallback.testing import RestateServer

pytestmark = pytest.mark.integration

_HERE = Path(__file__).parent


@pytest.fixture
async def ingress(restate_server: RestateServer) -> AsyncIterator[Ingress]:
    """A client of the session's Restate."""
    async with Ingress(restate_server.ingress_url) as client:
        yield client


@pytest.fixture
async def admin(restate_server: RestateServer) -> AsyncIterator[Admin]:
    """An admin client of the session's Restate."""
    async with Admin(restate_server.admin_url) as client:
        yield client


@pytest.fixture
async def served(restate_server: RestateServer) -> AsyncIterator[list[str]]:
    """The greeter in this process; gives the awakeable ids it waits for."""
    greeter.waiting.clear()
    async with serve_endpoint(greeter.app, restate_server):
        yield greeter.waiting


@pytest.mark.usefixtures("served")
async def test_a_handler_is_called(ingress: Ingress) -> None:
    """The result comes back as Python values."""
    assert await ingress.call("TestingGreeter/hello", "you") == "hello you"


@pytest.mark.usefixtures("served")
async def test_a_terminal_error_keeps_its_code(ingress: Ingress) -> None:
    """A failed handler is an error with the code it chose."""
    with pytest.raises(RestateError, match="not today") as caught:
        await ingress.call("TestingGreeter/refuse")

    assert caught.value.status == 418


async def test_an_idle_waiter_suspends_and_resumes(ingress: Ingress, admin: Admin, served: list[str]) -> None:
    """The session's Restate suspends after a second; the completion wakes the handler."""
    invocation = await ingress.send("TestingGreeter/wait")

    async def suspended() -> bool:
        row = await admin.invocation(invocation)
        return row is not None and row["status"] == "suspended"

    await eventually("the invocation to suspend", suspended)
    with pytest.raises(RestateError) as not_done:
        await ingress.output(invocation)
    await ingress.resolve(served[0], "awake")

    assert not_done.value.status == 470
    assert await ingress.attach(invocation) == "awake"
    assert await ingress.output(invocation) == "awake"


async def test_a_rejected_awakeable_fails_its_waiter(ingress: Ingress, served: list[str]) -> None:
    """The reason arrives as the error's text."""
    invocation = await ingress.send("TestingGreeter/wait")
    await eventually("the awakeable", lambda: served)

    await ingress.reject(served[0], "no such order")

    with pytest.raises(RestateError, match="no such order"):
        await ingress.attach(invocation)


@pytest.mark.parametrize(("end", "word"), [("cancel", "cancelled"), ("kill", "killed")])
async def test_an_invocation_is_ended(ingress: Ingress, admin: Admin, served: list[str], end: str, word: str) -> None:
    """Cancel and kill end a waiting invocation with 409."""
    invocation = await ingress.send("TestingGreeter/wait")
    await eventually("the awakeable", lambda: served)

    await getattr(admin, end)(invocation)

    with pytest.raises(RestateError, match=word) as caught:
        await ingress.attach(invocation)
    assert caught.value.status == 409


async def test_a_service_process_comes_back_on_its_port(restate_server: RestateServer, ingress: Ingress) -> None:
    """A killed service process answers again after its restart, without a new registration."""
    process = ServiceProcess("greeter:app", restate_server, cwd=_HERE)
    try:
        await asyncio.to_thread(process.start)
        uri = process.uri
        await asyncio.to_thread(process.kill)
        await asyncio.to_thread(process.start)

        assert process.uri == uri
        assert await ingress.call("TestingGreeter/hello", "again") == "hello again"
    finally:
        await asyncio.to_thread(process.close)


async def test_a_service_process_listens_to_sigterm(restate_server: RestateServer, ingress: Ingress) -> None:
    """The SDK installs a SIGTERM handler of its own at the first call; the process ends all the same."""
    process = ServiceProcess("greeter:app", restate_server, cwd=_HERE)
    try:
        await asyncio.to_thread(process.start)
        await ingress.call("TestingGreeter/hello", "you")
        await asyncio.to_thread(process.stop)

        assert process.exit_code == 0
    finally:
        await asyncio.to_thread(process.close)
