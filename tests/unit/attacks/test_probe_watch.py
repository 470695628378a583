"""Whether a process answers its probe while it is attacked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from attacks.measurements import ProbeWatch

from kallback.testing import eventually


@dataclass
class Fake:
    """A program with a port."""

    port: int
    name: str = "bridge"
    serving: bool = True


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"])
async def test_a_connection_that_is_closed_or_refused_is_no_answer(answer: bytes) -> None:
    """The time goes on until there is one."""
    answers = [answer, answer]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop() if answers else b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        program: Any = Fake(server.sockets[0].getsockname()[1])
        async with ProbeWatch([program]) as probes:

            async def asked_three_times() -> bool:
                return not answers and not probes.waiting

            await eventually("an answer", asked_three_times)
            assert probes.longest_wait() > 0


async def test_no_answer_is_expected_while_a_program_does_not_serve() -> None:
    """It starts, or was stopped on purpose."""
    program: Any = Fake(port=1, serving=False)
    async with ProbeWatch([program]) as probes:
        await asyncio.sleep(0)
        assert probes.longest_wait() == 0
