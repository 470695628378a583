"""A bridge in its environment: a broker in memory, a Restate that is a function, clocks that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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
from kallback.bridge.restate.services import ServiceAnswer
from kallback.bridge.results.late_policy import LateResult, ToHandler
from kallback.kafka import ConsumerOptions, MemoryBroker, MemoryClients, MemoryConsumer, Record
from kallback.protocol import Marks
from kallback.settings import DeadLetterSettings, KeySettings, Settings
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
    restate_answers: bool = True
    monotonic: float = 0.0
    now: float = NOW
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    checked: Callable[[], None] = lambda: None
    completer: Completer | None = None
    insecure: bool = False
    letters: DeadLetterSettings = field(default_factory=DeadLetterSettings)
    on_settled: Callable[[Settled], None] | None = None
    handled: list[tuple[str, LateResult]] = field(default_factory=list[tuple[str, LateResult]])
    handler_reply: Callable[[LateResult], Reply] = lambda _: Accepted()
    wanted: frozenset[ToHandler] = frozenset()
    monitor_client: FakeMonitorClient = field(default_factory=FakeMonitorClient)
    services: list[ServiceAnswer] = field(default_factory=list[ServiceAnswer])
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

    async def check(self, *_: object) -> bool:
        """Stand in for the look at Restate."""
        self.checks += 1
        self.checked()
        return self.restate_answers

    async def ask(self) -> list[ServiceAnswer]:
        """Stand in for the look at Restate's services."""
        return self.services

    async def send(self, handler: ToHandler, result: LateResult) -> Reply:
        """Stand in for a Restate handler that takes late results."""
        self.handled.append((str(handler), result))
        await asyncio.sleep(0)
        return self.handler_reply(result)

    def clocks(self) -> Clocks:
        """Time as the test sets it."""
        return Clocks(lambda: self.now, lambda: self.monotonic, lambda: 0.0)

    def bridge(self, options: BridgeOptions | None = None, *, batch_limit: int = 1) -> Bridge:
        """A bridge in this environment, not started."""
        dependencies = Dependencies(
            completer=lambda *_: self.completer or FunctionCompleter(self.complete, batch_limit=batch_limit),
            kafka=lambda *_: _Clients(self.broker, self.consumers, self.progress_consumers),
            check_restate=self.check,
            handlers=lambda _: _Handlers(self),
            monitor_client=lambda _: self.monitor_client,
            service_check=lambda *_: self,
            clocks=self.clocks(),
        )
        settings = Settings(keys=KeySettings(keyring=KEYRING, insecure=self.insecure), dead_letters=self.letters)
        return Bridge(
            settings,
            options or BridgeOptions(),
            dependencies=dependencies,
            on_settled=self.on_settled or self.settled.append,
        )

    async def settle(self, count: int) -> list[Settled]:
        """Wait until so many records have an outcome."""
        await eventually(
            f"{count} settled records",
            lambda: sum(each.count for each in self.settled) >= count,
            timeout=30,
            interval=0.01,
        )
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
class _Clients(MemoryClients):
    """Remembers the consumers that it made."""

    consumers: list[MemoryConsumer]
    progress_consumers: list[MemoryConsumer]

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> MemoryConsumer:
        """A member of a group."""
        made = super().consumer(topics, group, options)
        (self.consumers if group == GROUP else self.progress_consumers).append(made)
        return made


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
