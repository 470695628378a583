"""The health ports, as anyone who reaches them can use them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

from attacks.attack import Attack
from attacks.attacker import Attacker

_CONNECTIONS: Final = 500
_HOLD_S: Final = 8.0
_MOST_OPEN: Final = 32
_CLOSED_WITHIN_S: Final = 3.5
"""The port closes every connection after 5 s: what is open longer than this was not closed for its number."""
_LOOK_EVERY_S: Final = 0.1
_SERVER_FAULT: Final = 500
_REQUESTS: Final = (
    b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=\xff\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=9999.9\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nAccept: " + b"a/b;q=\xc2\xb2," * 500 + b"\r\n\r\n",
    b"GET /metrics?" + b"name[]=x&" * 500 + b" HTTP/1.1\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
    b"\x00" * 4_000 + b"\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n" + b"x: y\r\n" * 5_000,
)


async def _odd_requests(attacker: Attacker) -> None:
    """Each request fifty times, to bridge and worker."""
    for program in attacker.installation.programs:
        for request in _REQUESTS:
            for _ in range(50):
                status = (await _exchange(program.port, request))[9:12]
                if not status.isdigit() or int(status) >= _SERVER_FAULT:
                    attacker.findings.append(f"the {program.name} answers {status!r} to {request[:70]!r}")
                    break


async def _slow_clients(attacker: Attacker) -> None:
    """Connections that send one byte and wait: only the newest may be left, long before the port's own timeout."""
    async with contextlib.AsyncExitStack() as stack:
        for program in attacker.installation.programs:
            readers: list[asyncio.StreamReader] = []
            for _ in range(_CONNECTIONS):
                with contextlib.suppress(OSError):
                    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
                    stack.callback(writer.close)
                    readers.append(reader)
                    writer.write(b"G")
            if len(readers) < _CONNECTIONS:
                attacker.findings.append(
                    f"the attack missed its aim: {len(readers)} of {_CONNECTIONS} connections were made"
                )
            if (left := await _left_open(readers)) > _MOST_OPEN:
                attacker.findings.append(f"the {program.name} holds {left} connections, {_MOST_OPEN} are allowed")
        await asyncio.sleep(_HOLD_S)


async def _left_open(readers: Sequence[asyncio.StreamReader]) -> int:
    """How many connections are open when the port has had time to close the others."""
    ends = time.monotonic() + _CLOSED_WITHIN_S
    while True:
        left = sum(not reader.at_eof() and reader.exception() is None for reader in readers)
        if left <= _MOST_OPEN or time.monotonic() > ends:
            return left
        await asyncio.sleep(_LOOK_EVERY_S)


async def _exchange(port: int, request: bytes) -> bytes:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                return await reader.read()
            finally:
                writer.close()
    return b""


ATTACKS: Final = (
    Attack(name="odd-requests", does="health ports: requests that are hardly HTTP", write=_odd_requests),
    Attack(name="slow-clients", does="health ports: 500 connections that send one byte", write=_slow_clients),
)
