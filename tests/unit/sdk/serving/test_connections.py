"""One HTTP/2 connection without a socket: what happens at which await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h2.config
import h2.connection
import h2.events
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.typing import ConnectionState

from kallback.sdk.serving.connections import RestateHttp2, without_limits

HEADERS = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "service")]


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def open_for_ever(_scope: Any, receive: Any, _send: Any) -> None:
    """Wait until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Wire:
    """A client, and the way to it, which can be blocked at the first answer's data."""

    def __init__(self) -> None:
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.client.initiate_connection()
        self.blocked = asyncio.Event()
        self.free = asyncio.Event()
        self.answered = asyncio.Queue[int]()

    async def send(self, event: Event) -> None:
        """Take what the server sends."""
        for each in self.client.receive_data(event.data) if isinstance(event, RawData) else []:
            if isinstance(each, h2.events.DataReceived):
                self.answered.put_nowait(each.stream_id)
                self.blocked.set()
                await self.free.wait()

    def request(self, stream: int) -> None:
        """Open a stream."""
        self.client.send_headers(stream, HEADERS, end_stream=True)

    def data(self) -> RawData:
        """What the client sends."""
        return RawData(self.client.data_to_send())


@asynccontextmanager
async def serving(application: Any, wire: Wire) -> AsyncIterator[RestateHttp2]:
    """The server's side of a connection."""
    async with asyncio.timeout(60), TaskGroup(asyncio.get_running_loop()) as tasks:
        http = RestateHttp2(
            ASGIWrapper(application),
            without_limits(Config()),
            WorkerContext(None),
            tasks,
            ConnectionState({}),
            False,  # noqa: FBT003 - hypercorn's parameter `ssl`
            None,
            None,
            wire.send,
        )
        await http.initiate()
        try:
            yield http
        finally:
            await http.handle(Closed())


async def test_a_stream_that_is_reset_while_its_data_is_sent_harms_no_other() -> None:
    """The task that sends for all streams finds the buffer gone, and goes on."""
    wire = Wire()
    async with serving(app, wire) as http:
        wire.request(1)
        await http.handle(wire.data())
        await wire.blocked.wait()
        wire.client.reset_stream(1)
        await http.handle(wire.data())
        wire.free.set()
        wire.request(3)
        await http.handle(wire.data())
        assert [await wire.answered.get(), await wire.answered.get()] == [1, 3]
    assert (http.stream_buffers, http.streams) == ({}, {})


async def test_nothing_is_kept_of_streams_that_were_reset() -> None:
    """Hypercorn would keep the buffer and the priority of each: memory of killed invocations."""
    wire = Wire()
    async with serving(open_for_ever, wire) as http:
        await http.handle(wire.data())
        kept = len(http.priority._streams)
        for stream in range(1, 41, 2):
            wire.request(stream)
        await http.handle(wire.data())
        assert (len(http.stream_buffers), len(http.priority._streams)) == (20, kept + 20)
        for stream in range(1, 41, 2):
            wire.client.reset_stream(stream)
        await http.handle(wire.data())
        assert (http.stream_buffers, len(http.priority._streams)) == ({}, kept)


def test_the_limits_are_those_that_restate_asks_for() -> None:
    """All three: requests of a connection, streams at once, and seconds without a request."""
    config = without_limits(Config())
    limits = config.keep_alive_max_requests, config.h2_max_concurrent_streams, config.keep_alive_timeout
    assert limits == (2147483647,) * 3
