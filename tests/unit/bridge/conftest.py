"""Tokens, records, a bridge on a broker in memory, and a server that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from kallback.bridge import (
    Accepted,
    Bridge,
    BridgeOptions,
    Clocks,
    Completer,
    Completion,
    Dependencies,
    FunctionCompleter,
    Reply,
    Settled,
)
from kallback.bridge.progress.decide import ProgressUpdate
from kallback.bridge.progress.monitor_client import Answered, SendResult
from kallback.bridge.results.late_policy import LateResult, ToHandler
from kallback.kafka import (
    MemoryBroker,
    MemoryConsumer,
    MemoryEndOffsets,
    MemoryProducer,
    OutgoingRecord,
    Record,
)
from kallback.protocol import (
    Attempt,
    AwakeableId,
    Keyring,
    Marks,
    MissingTopicError,
    Token,
    completed_headers,
    failed_headers,
    task_id_of,
)
from kallback.settings import KeySettings, Settings
from kallback.testing.polling import eventually

NOW = 1_800_000_000.0
KEYRING = Keyring({"k1": b"1" * 32})
AUDIENCE = "kallback.results"
GROUP = BridgeOptions().group_for(AUDIENCE)
_numbers = itertools.count()


def awakeable_id(signal: int = 17) -> AwakeableId:
    """A canonical id that nobody else uses."""
    raw = next(_numbers).to_bytes(24, "big") + signal.to_bytes(4, "big")
    return AwakeableId("sign_1" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@dataclass
class Mint:
    """Makes tokens and result records."""

    now: float = NOW

    def token(self, *, deadline: float | None = None, awakeable: AwakeableId | None = None) -> Token:
        """A token of an attempt of its own; `deadline` in seconds from now."""
        task_id = task_id_of(next(_numbers).to_bytes(12, "big"))
        deadline_ms = 0 if deadline is None else int((self.now + deadline) * 1000)
        return Token("kitchen.prepare", task_id, Attempt(1), awakeable or awakeable_id(), deadline_ms)

    def sign(self, token: Token | None = None, keyring: Keyring = KEYRING, audience: str = AUDIENCE) -> str:
        """The token's text."""
        return keyring.sign(token or self.token(), audience)

    def completed(self, text: str | None = None, value: bytes | None = b'{"ok":true}') -> OutgoingRecord:
        """A completed result."""
        return OutgoingRecord(AUDIENCE, value, None, completed_headers(text or self.sign()))

    def failed(self, text: str | None = None, value: bytes | None = b'{"detail":"no basil"}') -> OutgoingRecord:
        """A failed result."""
        return OutgoingRecord(AUDIENCE, value, None, failed_headers(text or self.sign()))

    def received(self, record: OutgoingRecord) -> Record:
        """As it comes from Kafka."""
        return Record(record.topic, 0, 0, int(self.now * 1000), record.key, record.value, record.headers)


@pytest.fixture
def mint() -> Mint:
    """A maker of tokens and records."""
    return Mint()


@dataclass
class World:
    """A bridge, the broker in memory it reads from, and a Restate that is a function."""

    broker: MemoryBroker
    mint: Mint
    reply: Callable[[Completion], Reply] = lambda _: Accepted()
    posted: list[Completion] = field(default_factory=list[Completion])
    settled: list[Settled] = field(default_factory=list[Settled])
    checks: int = 0
    monotonic: float = 0.0
    now: float = NOW
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    checked: Callable[[], None] = lambda: None
    completer: Completer | None = None
    insecure: bool = False
    on_settled: Callable[[Settled], None] | None = None
    handled: list[tuple[str, LateResult]] = field(default_factory=list[tuple[str, LateResult]])
    handler_reply: Callable[[LateResult], Reply] = lambda _: Accepted()
    wanted: frozenset[ToHandler] = frozenset()
    monitor_client: FakeMonitorClient = field(default_factory=lambda: FakeMonitorClient())  # noqa: PLW0108 - it is defined below
    consumers: list[MemoryConsumer] = field(default_factory=list[MemoryConsumer])

    def __post_init__(self) -> None:
        self.hold.set()

    async def complete(self, completion: Completion) -> Reply:
        """Stand in for Restate."""
        self.posted.append(completion)
        await self.hold.wait()
        await asyncio.sleep(0)
        return self.reply(completion)

    async def check(self, *_: object) -> None:
        """Stand in for the look at Restate."""
        self.checks += 1
        self.checked()

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        """Stand in for a Restate handler that takes late results."""
        self.handled.append((str(handler), result))
        await asyncio.sleep(0)
        return self.handler_reply(result)

    async def _topics(self, _settings: object, names: object) -> None:
        assert isinstance(names, list)
        for name in names:
            if not self.broker.partitions(name):
                raise MissingTopicError(f"topic {name} does not exist: run kallback topics create")

    def _consumer(self, settings: Settings, options: BridgeOptions) -> MemoryConsumer:
        consumer = MemoryConsumer(self.broker, [settings.topics.results], GROUP, options=options.for_consumer())
        self.consumers.append(consumer)
        return consumer

    def _progress_consumer(self, settings: Settings, options: BridgeOptions) -> MemoryConsumer:
        group = options.progress_group_for(AUDIENCE)
        return MemoryConsumer(self.broker, [settings.topics.progress], group, options=options.for_consumer())

    def clocks(self) -> Clocks:
        """Time as the test sets it."""
        return Clocks(lambda: self.now, lambda: self.monotonic, lambda: 0.0)

    def bridge(self, options: BridgeOptions | None = None, *, batch_limit: int = 1) -> Bridge:
        """A bridge of this world, not started."""
        dependencies = Dependencies(
            completer=lambda *_: self.completer or FunctionCompleter(self.complete, batch_limit=batch_limit),
            consumer=self._consumer,
            producer=lambda _: MemoryProducer(self.broker),
            check_topics=self._topics,
            check_restate=self.check,
            handlers=lambda _: _Handlers(self),
            progress_consumer=self._progress_consumer,
            end_offsets=lambda _: MemoryEndOffsets(self.broker),
            monitor_client=lambda _: self.monitor_client,
            clocks=self.clocks(),
        )
        settings = Settings(keys=KeySettings(keyring=KEYRING, insecure=self.insecure))
        return Bridge(
            settings,
            options or BridgeOptions(),
            dependencies=dependencies,
            on_settled=self.on_settled or self.settled.append,
        )

    async def settle(self, count: int) -> list[Settled]:
        """Wait until so many records have an outcome."""
        await eventually(f"{count} settled records", lambda: len(self.settled) >= count, timeout=5, interval=0.002)
        return self.settled

    def outcomes(self) -> dict[str, int]:
        """Settled records by outcome."""
        found: dict[str, int] = {}
        for each in self.settled:
            found[each.outcome.value] = found.get(each.outcome.value, 0) + 1
        return found

    def committed(self) -> int:
        """The commit position of the one partition."""
        return self.broker.committed(GROUP, AUDIENCE).get(0, 0)

    def dead(self) -> list[Record]:
        """What was dead-lettered."""
        return self.broker.records("kallback.dead-letters")

    @staticmethod
    def header(record: Record, name: str) -> str:
        """One header as text."""
        return next(value or b"" for key, value in record.headers if key == name).decode()


@dataclass
class FakeMonitorClient:
    """Restate's services that watch over tasks.

    Attributes:
        answer: to whatever comes.
    """

    told: list[ProgressUpdate] = field(default_factory=list[ProgressUpdate])
    reported: list[tuple[str, Marks]] = field(default_factory=list[tuple[str, Marks]])
    answer: SendResult = SendResult.TAKEN

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    def send_update(self, update: ProgressUpdate, answered: Answered) -> None:
        """Take update."""
        self.told.append(update)
        asyncio.get_running_loop().call_soon(answered, self.answer, "as told")

    def report(self, topic: str, marks: Marks, answered: Answered) -> None:
        """Take marks."""
        self.reported.append((topic, marks))
        asyncio.get_running_loop().call_soon(answered, self.answer, "as told")


@dataclass
class _Handlers:
    """Restate's handlers, as far as late results go."""

    world: World

    async def start(self, wanted: frozenset[ToHandler]) -> None:
        self.world.wanted = wanted

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        return await self.world.send(handler, result)

    async def stop(self) -> None:
        """Nothing to close."""


@pytest.fixture
async def world(mint: Mint) -> World:
    """A broker in memory with the topics, and everything around a bridge."""
    broker = MemoryBroker(clock=lambda: NOW)
    for topic in (AUDIENCE, "kallback.dead-letters", "kallback.outcomes", "kallback.progress"):
        broker.create_topic(topic, largest=8_000_000)
    return World(broker, mint)


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Hostile:
    """An HTTP server that reads one request at a time and then does what the test says."""

    url: str = ""
    script: Script | None = None
    requests: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0

    def answers(self, raw: bytes) -> None:
        """Answer every request with these bytes, and keep the connection."""

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(raw)
            await writer.drain()

        self.script = script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    self.requests.append(await _request(reader))
                    assert self.script is not None
                    await self.script(reader, writer)
        finally:
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return head + (await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")


@asynccontextmanager
async def hostile_server(host: str = "127.0.0.1") -> AsyncGenerator[Hostile]:
    """Serve until the context ends; open connections are cut."""
    hostile = Hostile()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(hostile.serve(reader, writer)))

    server = await asyncio.start_server(connected, host, 0)
    shown = f"[{host}]" if ":" in host else host
    hostile.url = f"http://{shown}:{server.sockets[0].getsockname()[1]}"
    try:
        yield hostile
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@pytest.fixture
async def hostile() -> AsyncGenerator[Hostile]:
    """A server that answers what the test says."""
    async with hostile_server() as server:
        yield server


@pytest.fixture
async def hostile_on_ipv6() -> AsyncGenerator[Hostile]:
    """The same on IPv6."""
    async with hostile_server("::1") as server:
        yield server
