"""A Kafka behind a gate: clients reach it, but their requests of one chosen kind are held and never answered.

Questions for committed offsets can also be refused, as a broker does that is not the group's coordinator any more.

Ownership: the gate's connections live on an event loop in a thread of their own, so that a test may block. The broker
advertises the gate's address; what a connection sends after a held request is held, too, as Kafka answers in order.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import IntEnum

from kallback.testing import KafkaServer
from kallback.testing.servers.ports import free_ports
from kallback.testing.stack import KafkaOptions, start_kafka


class Request(IntEnum):
    """Kinds of requests, by their number in Kafka's protocol."""

    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    SYNC_GROUP = 14
    API_VERSIONS = 18
    INIT_PRODUCER_ID = 22


_NOT_COORDINATOR = 16


class KafkaGate:
    """Passes bytes between clients and a broker.

    Attributes:
        address: what clients are given.
    """

    def __init__(self, port: int, broker_port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port, self._broker_port = port, broker_port
        self._held: Request | None = None
        self._refusals = 0
        self._met = set[str]()
        self._changed = threading.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="kafka-gate", daemon=True)
        self._listening = threading.Event()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._listening.wait(10)

    def stop(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def hold(self, kind: Request | None) -> None:
        """From now on, hold requests of this kind; none: of no kind, and those that were held stay unanswered."""
        with self._changed:
            self._met.clear()
            self._held = kind

    def refuse_offset_fetches(self, times: int) -> None:
        """Answer NOT_COORDINATOR to so many of the next questions for committed offsets."""
        with self._changed:
            self._refusals = times

    @property
    def refusals(self) -> int:
        """How many are still to be refused."""
        with self._changed:
            return self._refusals

    async def met(self, client_id: str) -> None:
        """Wait until such a request of this client has come."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: client_id in self._met, 60)

        assert await asyncio.to_thread(wait), f"waited 60 s for a request of kind {self._held!r} of {client_id}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self._port))
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for each in asyncio.all_tasks(self._loop):
            each.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self._broker_port)
        ways = (self._pass_requests(reader, broker_writer, writer), self._pass_answers(broker_reader, writer))
        await asyncio.wait({asyncio.ensure_future(way) for way in ways}, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, broker_writer):
            each.close()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, broker: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            holding = False
            while True:
                size = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(size))
                holding = holding or int.from_bytes(body[:2]) == self._held
                if holding:
                    self._note(_client_id(body))
                elif self._refuses(body):
                    client.write(_not_coordinator(body))
                else:
                    broker.write(size + body)

    def _note(self, client_id: str) -> None:
        with self._changed:
            self._met.add(client_id)
            self._changed.notify_all()

    def _refuses(self, request: bytes) -> bool:
        with self._changed:
            refused = self._refusals > 0 and int.from_bytes(request[:2]) == Request.OFFSET_FETCH
            self._refusals -= refused
            return refused

    @staticmethod
    async def _pass_answers(broker: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                size = await broker.readexactly(4)
                writer.write(size + await broker.readexactly(int.from_bytes(size)))


def _client_id(request: bytes) -> str:
    """Of a request's header: kind, version (2 bytes each), number (4), length of the text (2), the text."""
    return request[10 : 10 + max(0, int.from_bytes(request[8:10], signed=True))].decode()


def _not_coordinator(request: bytes) -> bytes:
    """Answer a question for committed offsets, in the version that it has: 2 to 9."""
    version = int.from_bytes(request[2:4])
    error = _NOT_COORDINATOR.to_bytes(2)
    throttle = bytes(4) if version >= 3 else b""
    if version >= 8:  # in these, arrays and texts have their length plus one in front, and tags follow
        begin = 10 + max(0, int.from_bytes(request[8:10], signed=True)) + 1 + 1
        group = request[begin : begin + request[begin]]
        answer = b"\0" + throttle + b"\2" + group + b"\1" + error + b"\0" + b"\0"
    elif version >= 6:
        answer = b"\0" + throttle + b"\1" + error + b"\0"
    else:
        answer = throttle + bytes(4) + error
    answer = request[4:8] + answer
    return len(answer).to_bytes(4) + answer


@contextmanager
def gated_kafka() -> Generator[tuple[KafkaServer, KafkaGate]]:
    """A broker that is reached through a gate only."""
    port, gate_port = free_ports(2)
    gate = KafkaGate(gate_port, port)
    gate.start()
    try:
        options = KafkaOptions(port=port, properties={"advertised.listeners": f"PLAINTEXT://{gate.address}"})
        with start_kafka(options) as server:
            yield server, gate
    finally:
        gate.stop()
