"""What Restate's answers to reports and heartbeats mean, with the service names of an upgrade."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from kallback.bridge.progress.monitor_client import IngressMonitorClient, SendResult
from kallback.protocol import PLAIN_NAMES, Marks, service_names
from kallback.settings import RestateSettings

NEW = service_names("team.results")
EARLIER = b'{"invocationId":"inv_1","status":"PreviouslyAccepted"}'
TAKEN = b'{"invocationId":"inv_1","status":"Accepted"}'


@dataclass
class _Ingress:
    """An ingress in a few lines.

    Attributes:
        seen: paths and idempotency keys.
    """

    answer: Callable[[str], bytes]
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer 202 to each request."""
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                await reader.readexactly(int(headers["content-length"]))
                path = first.split()[1]
                self.seen.append((path, headers.get("idempotency-key", "")))
                body = self.answer(path)
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        except asyncio.IncompleteReadError:
            writer.close()


@asynccontextmanager
async def _client(ingress: _Ingress) -> AsyncGenerator[IngressMonitorClient]:
    server = await asyncio.start_server(ingress.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = IngressMonitorClient(RestateSettings(f"http://127.0.0.1:{port}"), [NEW, PLAIN_NAMES])
    await client.start()
    try:
        yield client
    finally:
        await client.stop()
        server.close()


async def _report(client: IngressMonitorClient, topic: str) -> SendResult:
    came: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
    client.report(topic, Marks(1, {0: 1}), lambda result, _: came.set_result(result))
    return await asyncio.wait_for(came, 60)


@pytest.mark.parametrize(
    ("own", "old", "result"),
    [
        (TAKEN, TAKEN, SendResult.ACCEPTED),
        (EARLIER, TAKEN, SendResult.WAITING),
        (TAKEN, EARLIER, SendResult.ACCEPTED),
        (b"[" * 2000, b"\xff", SendResult.ACCEPTED),
    ],
)
async def test_a_report_waits_if_the_own_service_has_not_answered_the_earlier_one(
    own: bytes, old: bytes, result: SendResult
) -> None:
    """An old service that is gone delays nothing, and an answer that is not Restate's says nothing."""
    ingress = _Ingress(lambda path: own if NEW.marks in path else old)
    async with _client(ingress) as client:
        assert await _report(client, "kallback.results") is result


async def test_all_reports_of_a_bridge_have_one_key_and_those_of_another_bridge_have_another() -> None:
    """So Restate keeps one of each bridge and topic, however long the service is away."""
    ingress = _Ingress(lambda _: TAKEN)
    for _ in range(2):
        async with _client(ingress) as client:
            for _ in range(2):
                await _report(client, "kallback.results")
    assert len({key for _, key in ingress.seen}) == 2
    assert "" not in {key for _, key in ingress.seen}
