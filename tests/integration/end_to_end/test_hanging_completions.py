"""Completions that hang: a proxy takes the request and never answers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from tests.integration.bridge.environment import ResultsTopic, unused_awakeable, with_restate

from kallback.bridge import BridgeOptions
from kallback.testing import eventually

pytestmark = pytest.mark.integration

LATER = 200


async def copy_message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with a content length, or none; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    _, found, rest = head.lower().partition(b"content-length: ")
    return head + await reader.readexactly(int(rest.split(b"\r\n", 1)[0]) if found else 0)


@asynccontextmanager
async def proxy_that_hangs(url: str, awakeables: Collection[str]) -> AsyncGenerator[str]:
    """Pass requests on to a server, but those that name one of these awakeables are never answered."""
    target = urlsplit(url)
    connections: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(target.hostname, target.port)
        try:
            while request := await copy_message(reader):
                if any(each.encode() in request for each in awakeables):
                    await asyncio.Event().wait()
                upstream.write(request)
                writer.write(await copy_message(upstream_reader))
        finally:
            upstream.close()
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(task := asyncio.create_task(pump(reader, writer)))
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def another_and_parked(results: ResultsTopic) -> bool:
    """Send one more result: a record fails by itself only while others succeed. Whether two were parked by now."""
    await results.complete()
    return sum(count for kind, count in results.outcomes().items() if kind != "delivered") == 2


async def test_completions_that_hang_do_not_starve_later_results(results: ResultsTopic) -> None:
    """Two hang, time out and are tried again; 200 that come later are delivered, and the two are parked at last."""
    hanging = [unused_awakeable(), unused_awakeable()]
    options = dataclasses.replace(BridgeOptions(concurrency=1), park_after=5.0, park_blocking_after=5.0)
    async with proxy_that_hangs(results.settings.restate.ingress_url, hanging) as url:
        behind = with_restate(results, ingress_url=url, request_timeout=1.0)
        async with behind.bridge(options) as bridge:
            for each in hanging:
                await results.complete(results.token(each))
            await eventually("two completions that hang", lambda: bridge.stats.in_flight >= 2)
            await asyncio.gather(*(results.complete() for _ in range(LATER)))
            await eventually("later results", lambda: results.outcomes().get("delivered", 0) >= LATER, timeout=90)
            await eventually("both parked", lambda: another_and_parked(results), interval=0.5)
    reasons = [dict(each.headers)["kallback-dead-reason"] for each in (await results.dead_letters()).values()]
    assert reasons == [b"parked"] * 2
