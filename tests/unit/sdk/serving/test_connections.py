"""One HTTP/2 connection without a socket: what happens at which await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.typing import ConnectionState

from kallback.sdk.serving.connections import without_limits
from kallback.sdk.serving.http2 import RestateHttp2

GOAWAY = 7
"""The type of the frame (RFC 9113, 6.8)."""
HEADERS = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "service")]


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def open_for_ever(_scope: Any, receive: Any, _send: Any) -> None:
    """Wait until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def flooding(sent: list[int], after_each: Callable[[], None] = lambda: None) -> Any:
    """An application that answers with 100 parts of 10 kB, and takes note of those that it was let to send."""

    async def flood(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(100):
            await send({"type": "http.response.body", "body": bytes(10_000), "more_body": True})
            sent.append(number)
            after_each()

    return flood


class Wire:
    """A client, and the way to it.

    Attributes:
        full: the client reads no more.
        writes: what was written, and `closed` where the server closed the connection.
        answers: data by stream.
        ended: the streams that the server ended.
    """

    def __init__(self, window: int = 65_535) -> None:
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.client.local_settings = h2.settings.Settings(
            initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.client.initiate_connection()
        self.full = False
        self.free = asyncio.Event()
        self.writes: list[bytes] = []
        self.answers = dict[int, bytes]()
        self.ended: list[int] = []

    def write(self, data: bytes) -> None:
        """Take what the server sends."""
        self.writes.append(data)
        for each in self.client.receive_data(data):
            if isinstance(each, h2.events.DataReceived):
                self.answers[each.stream_id] = self.answers.get(each.stream_id, b"") + each.data
            if isinstance(each, h2.events.StreamEnded):
                self.ended.append(each.stream_id)

    def is_full(self) -> bool:
        """Whether the server has to wait."""
        return self.full

    async def turn(self) -> None:
        """Let others go on."""
        await asyncio.sleep(0)

    async def send(self, event: Event) -> None:
        """Hypercorn's other events; no data is a question for space."""
        if isinstance(event, RawData):
            assert event.data == b""
            await self.free.wait()
        elif isinstance(event, Closed):
            self.writes.append(b"closed")

    def request(self, stream: int) -> None:
        """Open a stream."""
        self.client.send_headers(stream, HEADERS, end_stream=True)

    def data(self) -> RawData:
        """What the client sends."""
        return RawData(self.client.data_to_send())


async def all_turns() -> None:
    """Let the event loop run until nothing of these tests can happen any more."""
    for _ in range(50):
        await asyncio.sleep(0)


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
            output=wire,
        )
        await http.initiate()
        try:
            yield http
        finally:
            wire.free.set()
            await http.handle(Closed())


async def test_a_stream_that_is_reset_while_its_data_waits_harms_no_other() -> None:
    """The task that sends for all streams finds the buffer gone, and goes on."""
    wire = Wire(window=2)
    async with serving(app, wire) as http:
        wire.request(1)
        await http.handle(wire.data())
        await all_turns()
        wire.client.reset_stream(1)
        wire.request(3)
        await http.handle(wire.data())
        await all_turns()
        wire.client.increment_flow_control_window(10, 3)
        await http.handle(wire.data())
        await all_turns()
        assert wire.answers == {1: b"do", 3: b"done"}
    assert (http.stream_buffers, http.streams) == ({}, {})


async def test_what_streams_send_in_one_turn_leaves_with_one_write() -> None:
    """A write is a system call, and the largest part of the cost of a small message."""
    wire = Wire()
    async with serving(app, wire) as http:
        await http.handle(wire.data())
        await all_turns()
        wire.writes.clear()
        for stream in range(1, 41, 2):
            wire.request(stream)
        await http.handle(wire.data())
        await all_turns()
        assert wire.ended == list(range(1, 41, 2))
        assert len(wire.writes) == 1


async def test_data_beyond_the_window_comes_whole_and_in_order() -> None:
    """What may be sent at once is, the rest waits in the stream's buffer, and nothing overtakes it."""
    sent = [bytes([number]) * 1_000 for number in range(200)]

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for each in sent:
            await send({"type": "http.response.body", "body": each, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    wire = Wire()
    async with serving(answer, wire) as http:
        wire.request(1)
        await http.handle(wire.data())
        await all_turns()
        assert len(wire.answers[1]) == 65_535
        wire.client.increment_flow_control_window(70_000)
        wire.client.increment_flow_control_window(200_000, 1)
        await http.handle(wire.data())
        await all_turns()
        assert len(wire.answers[1]) == 65_535 + 70_000
        wire.client.increment_flow_control_window(200_000)
        await http.handle(wire.data())
        await all_turns()
        assert (wire.answers, wire.ended) == ({1: b"".join(sent)}, [1])


@pytest.mark.parametrize("full", [True, False])
async def test_a_client_that_reads_slowly_makes_its_handlers_wait(full: bool) -> None:  # noqa: FBT001
    """Whatever its window is, a connection keeps little: in one turn, and while the client reads nothing."""
    sent = list[int]()

    def stop_reading() -> None:
        wire.full = wire.full or len(sent) == 20

    wire = Wire(window=2**31 - 1)
    async with serving(flooding(sent, stop_reading), wire) as http:
        wire.client.increment_flow_control_window(2**31 - 1 - 65_535)
        wire.request(1)
        await http.handle(wire.data())
        wire.full = full
        await all_turns()
        assert len(sent) < 40
    assert len(sent) == 100  # the client is gone: the handler is not kept waiting


async def test_a_client_without_window_makes_its_handlers_wait() -> None:
    """Hypercorn would keep all that they send: a client that takes nothing could have it keep any amount."""
    sent = list[int]()

    wire = Wire(window=0)
    async with serving(flooding(sent), wire) as http:
        wire.request(1)
        await http.handle(wire.data())
        await all_turns()
        assert len(sent) < 10
        wire.client.increment_flow_control_window(50_000, 1)
        await http.handle(wire.data())
        await all_turns()
        assert (len(wire.answers[1]), len(sent) < 20) == (50_000, True)


async def test_what_a_client_sends_at_once_is_taken_in_over_many_turns() -> None:
    """Otherwise it would hold up the event loop, and all other connections."""
    wire = Wire()
    async with serving(open_for_ever, wire) as http:
        await http.handle(wire.data())
        for stream in range(1, 4_001, 2):
            wire.request(stream)
            wire.client.reset_stream(stream)
        taking = asyncio.create_task(http.handle(wire.data()))
        turns = 0
        while not taking.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 10
        assert (http.streams, http.stream_buffers, len(http.turns)) == ({}, {}, 0)


async def test_streams_that_have_ended_are_forgotten() -> None:
    """H2 forgets them while it counts those that are open, which is not done for each request."""
    wire = Wire()
    async with serving(app, wire) as http:
        for stream in range(1, 10_001, 2):
            wire.request(stream)
            if stream % 100 == 1:
                await http.handle(wire.data())
                await all_turns()
        assert len(http.connection.streams) < 1_200


async def test_the_reason_of_an_end_is_sent_before_the_end() -> None:
    """A peer that breaks the protocol is told so."""
    wire = Wire()
    async with serving(app, wire) as http:
        await http.handle(wire.data())
        await http.handle(RawData(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"))  # data of the connection itself
        *_, goaway, closed = wire.writes
    assert (goaway[-17 + 3], closed) == (GOAWAY, b"closed")


async def test_priorities_of_a_peer_leave_nothing_behind() -> None:
    """They may name any number of streams that are never opened, and HTTP/2 has given them up (RFC 9113, 5.3)."""
    wire = Wire()
    async with serving(app, wire) as http:
        for stream in range(1, 41, 2):
            wire.client.prioritize(stream, weight=1)
        await http.handle(wire.data())
        assert len(http.turns) == 0


async def test_nothing_is_kept_of_streams_that_were_reset() -> None:
    """Hypercorn would keep the buffer and the priority of each: memory of killed invocations."""
    wire = Wire()
    async with serving(open_for_ever, wire) as http:
        await http.handle(wire.data())
        for stream in range(1, 41, 2):
            wire.request(stream)
        await http.handle(wire.data())
        assert (len(http.stream_buffers), len(http.turns)) == (20, 20)
        for stream in range(1, 41, 2):
            wire.client.reset_stream(stream)
        await http.handle(wire.data())
        assert (http.stream_buffers, len(http.turns)) == ({}, 0)


def test_the_limits_are_those_that_restate_asks_for() -> None:
    """All three: requests of a connection, streams at once, and seconds without a request."""
    config = without_limits(Config())
    limits = config.keep_alive_max_requests, config.h2_max_concurrent_streams, config.keep_alive_timeout
    assert limits == (2147483647,) * 3
