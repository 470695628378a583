"""A bridge in its environment: a broker in memory, a Restate that is a function, clocks that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.unit.bridge.factories import AUDIENCE, GROUP, KEYRING, NOW, RecordFactory

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
from kallback.kafka import MemoryBroker, MemoryConsumer, MemoryEndOffsets, MemoryProducer, Record
from kallback.protocol import Marks, MissingTopicError
from kallback.settings import KeySettings, Settings
from kallback.testing.polling import eventually


@dataclass
class FakeMonitorClient:
    """Restate's services that watch over tasks.

    Attributes:
        answer: to whatever comes.
    """

    told: list[ProgressUpdate] = field(default_factory=list[ProgressUpdate])
    reported: list[tuple[str, Marks]] = field(default_factory=list[tuple[str, Marks]])
    answer: SendResult = SendResult.ACCEPTED

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
class BridgeEnv:
    """A bridge, the broker in memory that it reads from, and a Restate that is a function."""

    broker: MemoryBroker
    make: RecordFactory
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
    monitor_client: FakeMonitorClient = field(default_factory=FakeMonitorClient)
    consumers: list[MemoryConsumer] = field(default_factory=list[MemoryConsumer])
    progress_consumers: list[MemoryConsumer] = field(default_factory=list[MemoryConsumer])

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
        consumer = MemoryConsumer(self.broker, [settings.topics.progress], group, options=options.for_consumer())
        self.progress_consumers.append(consumer)
        return consumer

    def clocks(self) -> Clocks:
        """Time as the test sets it."""
        return Clocks(lambda: self.now, lambda: self.monotonic, lambda: 0.0)

    def bridge(self, options: BridgeOptions | None = None, *, batch_limit: int = 1) -> Bridge:
        """A bridge in this environment, not started."""
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
        await eventually(f"{count} settled records", lambda: len(self.settled) >= count, timeout=30, interval=0.01)
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

    def dead_letters(self) -> list[Record]:
        """What was dead-lettered."""
        return self.broker.records("kallback.dead-letters")

    @staticmethod
    def header(record: Record, name: str) -> str:
        """One header as text."""
        return next(value or b"" for key, value in record.headers if key == name).decode()


@dataclass
class _Handlers:
    """Restate's handlers, as far as late results go."""

    env: BridgeEnv

    async def start(self, wanted: frozenset[ToHandler]) -> None:
        self.env.wanted = wanted

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        return await self.env.send(handler, result)

    async def stop(self) -> None:
        """Nothing to close."""
