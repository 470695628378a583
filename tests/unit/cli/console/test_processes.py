"""What a console reads of health ports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kallback.cli.console.pages.processes import processes_page
from kallback.cli.console.processes import ProcessStatus, read_process, split_process
from kallback.health import Page, PageServer


@asynccontextmanager
async def answering(body: bytes) -> AsyncGenerator[str]:
    """The address of a health port that says this."""
    server = PageServer({"/readyz": lambda _: Page(body, "application/json")}, "127.0.0.1", 0)
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop()


async def test_a_process_says_what_it_is() -> None:
    """Phase, reasons, and figures of its own; what is null is left out."""
    body = b'{"ok":false,"reasons":["the bridge is draining"],"phase":"draining","lag":7,"partitions":null}'
    async with answering(body) as address:
        status = await read_process(address)
    assert status == ProcessStatus(address, "draining", reasons=("the bridge is draining",), members={"lag": "7"})


async def test_a_process_that_does_not_listen_is_said() -> None:
    """It may be down."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        status = await read_process(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert (status.ready, status.phase) == (False, "")
    assert "does not answer" in status.reasons[0]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"' + b"x" * 200_000 + b'"'])
async def test_what_is_no_health_port_is_said(body: bytes) -> None:
    """Its answer is bounded, and shown nowhere."""
    async with answering(body) as address:
        status = await read_process(address)
    assert status.reasons == ("what answers there is no health port of kallback",)


async def test_what_speaks_no_http_is_said() -> None:
    """Such as a port of Kafka."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01\x02hello\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        status = await read_process(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert status.reasons == ("what answers there is no health port of kallback",)


async def test_long_texts_are_cut() -> None:
    """A page stays small, whatever a process says."""
    async with answering(b'{"phase":"' + b"x" * 5000 + b'","reasons":["' + b"y" * 5000 + b'"]}') as address:
        status = await read_process(address)
    assert (len(status.phase), len(status.reasons[0])) == (200, 200)


async def test_a_process_keeps_the_name_that_the_operator_gave_it() -> None:
    """Also while it is dead, when the port alone says nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        status = await read_process(f"kitchen={address}")
    page = processes_page([status]).body.decode()
    assert (status.name, status.address, status.ready) == ("kitchen", address, False)
    assert "kitchen" in page
    assert address in page


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://127.0.0.1:9464", ("", "http://127.0.0.1:9464")),
        ("http://127.0.0.1:9464/?a=b", ("", "http://127.0.0.1:9464/?a=b")),
        ("kitchen=http://127.0.0.1:9464/?a=b", ("kitchen", "http://127.0.0.1:9464/?a=b")),
        ("127.0.0.1:9464", ("", "127.0.0.1:9464")),
    ],
)
def test_a_name_is_what_is_before_the_address(text: str, parts: tuple[str, str]) -> None:
    """An address may have an equals sign of its own."""
    assert split_process(text) == parts
