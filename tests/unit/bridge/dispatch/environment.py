"""A dispatcher whose completer and listener are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Accepted, BridgeOptions, Completion, Reply
from kallback.bridge.completers.base import Answered
from kallback.bridge.context import BridgeContext
from kallback.bridge.dispatch.dispatcher import Dispatcher, FinalReply
from kallback.bridge.in_flight.deliveries import Delivery
from kallback.bridge.in_flight.parking import FailureKind
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.kafka import MemoryBroker, MemoryConsumer
from kallback.protocol import AwakeableId, Completed


@dataclass
class Send:
    """One send that is under way."""

    tokens: list[str]
    answered: Answered

    def answer(self, *replies: Reply) -> None:
        """Give these replies; one reply is for all."""
        self.answered(list(replies) if len(replies) > 1 else list(replies) * len(self.tokens))


@dataclass
class ManualCompleter:
    """Keeps what is sent until the test answers."""

    batch_limit: int = 1
    send_limit: int = 64
    under_way: list[Send] = field(default_factory=list[Send])

    async def start(self) -> None:
        """Nothing to get ready."""

    async def stop(self) -> None:
        """Nothing to close."""

    def send(self, batch: Sequence[Completion], answered: Answered) -> None:
        """Keep it."""
        self.under_way.append(Send([each.token for each in batch], answered))

    def take(self, token: str | None = None) -> Send:
        """Take the send of a token, or the oldest one."""
        found = next(each for each in self.under_way if token is None or token in each.tokens)
        self.under_way.remove(found)
        return found


@dataclass
class RecordingListener:
    """Remembers what it was told.

    Attributes:
        kinds: what failures mean, by token; `UNKNOWN` for the others.
    """

    replies: list[tuple[str, FinalReply]] = field(default_factory=list[tuple[str, FinalReply]])
    failures: list[str] = field(default_factory=list[str])
    kinds: dict[str, FailureKind] = field(default_factory=dict[str, FailureKind])
    events: list[str] = field(default_factory=list[str])
    fatal: list[Exception] = field(default_factory=list[Exception])

    def on_reply(self, delivery: Delivery, reply: FinalReply) -> None:
        """Remember a final reply."""
        self.replies.append((delivery.identity, reply))

    def on_failure(self, delivery: Delivery, detail: str) -> FailureKind:
        """Remember a failure."""
        del detail
        self.failures.append(delivery.identity)
        return self.kinds.get(delivery.identity, FailureKind.UNKNOWN)

    def on_unavailable(self) -> None:
        """Remember the outage."""
        self.events.append("unavailable")

    def on_recovered(self) -> None:
        """Remember its end."""
        self.events.append("recovered")

    def on_fatal(self, error: Exception) -> None:
        """Remember the error."""
        self.fatal.append(error)

    def delivered(self) -> list[str]:
        """Return the tokens that Restate accepted."""
        return [identity for identity, reply in self.replies if isinstance(reply, Accepted)]


class DispatcherEnv:
    """A started dispatcher."""

    def __init__(self, options: BridgeOptions, *, batch_limit: int = 1) -> None:
        self.context = BridgeContext(options)
        self.completer = ManualCompleter(batch_limit)
        self.listener = RecordingListener()
        self.dispatcher = Dispatcher(self.completer, self.context)
        self._make = RecordFactory()
        self._consumer = MemoryConsumer(MemoryBroker(), ["kallback.results"], "group")

    def submit(self, *tokens: str, size: int | None = None, awakeable: AwakeableId | None = None) -> None:
        """Submit a new delivery of each of these tokens, whose records count as so many bytes."""
        for token in tokens:
            record = self._make.received(self._make.completed(token))
            completion = Completion(token, self._make.token(awakeable=awakeable), Completed(b"1"))
            self.dispatcher.submit(Delivery(FetchedRecord(record, self._consumer, size=size), token, completion))

    async def turn(self, seconds: float = 0.0) -> None:
        """Let callbacks and timers of the next `seconds` run."""
        await asyncio.sleep(seconds)
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.dispatcher.start(self.listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.dispatcher.stop()
