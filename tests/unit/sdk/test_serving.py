"""Serving a Restate application, seen from the other end of the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import h2.config
import h2.connection

from kallback.sdk.serving import serve_app
from kallback.testing.polling import eventually
from kallback.testing.servers.ports import accepts, free_ports


async def test_a_stream_that_is_opened_while_it_ends_does_not_keep_it() -> None:
    """Restate opens one whenever an invocation is due; what is under way still gets its answer."""
    port, end, began, go_on = free_ports(1)[0], asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        began.set()
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    serving = asyncio.create_task(serve_app(app, port, end))
    await eventually("the port", lambda: accepts(port))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    head = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
    client.send_headers(1, head)
    writer.write(client.data_to_send())
    await began.wait()
    end.set()
    await asyncio.sleep(0)
    client.send_headers(3, head)
    client.send_data(3, b"x" * 100)
    writer.write(client.data_to_send())
    await writer.drain()
    go_on.set()
    answer = b""
    async with asyncio.timeout(10):
        while b"done" not in answer:
            answer += await reader.read(65_536)
        await serving
    writer.close()
