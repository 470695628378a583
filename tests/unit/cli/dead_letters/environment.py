"""A broker in memory with dead letters, and the command on it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from click.testing import CliRunner, Result

from kallback.cli.dead_letters.commands import dead_letters
from kallback.cli.dead_letters.factories import KafkaFactories
from kallback.kafka import (
    DeadLetters,
    Headers,
    Hidden,
    MemoryBroker,
    MemoryProducer,
    MemoryReader,
    Missing,
    Position,
    Record,
    TopicPartition,
)
from kallback.protocol import (
    Attempt,
    AwakeableId,
    KallbackError,
    Keyring,
    Token,
    completed_headers,
    task_id_of,
)

T = TypeVar("T")

DEAD = "kallback.dead-letters"
RESULTS = "kallback.results"
AWAKEABLE = AwakeableId("sign_1" + base64.urlsafe_b64encode(bytes(27) + b"\x11").rstrip(b"=").decode())
KEY = hashlib.sha256(b"the keys of dead letters in tests").digest()
TOKEN = Keyring({"k2": KEY}).sign(Token("shop.pack", task_id_of(b"1" * 12), Attempt(1), AWAKEABLE), RESULTS)
KEYS = f"k2:{base64.b64encode(KEY).decode()}"
HOUR = 3600


class DeadLetterEnv:
    """A broker in memory with kallback's topics, and the command on it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.hidden: set[str] = set()
        self.questions: list[set[str]] = []
        for topic in (DEAD, RESULTS):
            self.broker.create_topic(topic)
        self.clients = KafkaFactories(
            reader=lambda topic, since_ms: MemoryReader(self.broker, topic, since_ms=since_ms),
            find=self.find,
            find_many=self.find_many,
            producer=lambda: MemoryProducer(self.broker),
            list_topics=self.list_topics,
            find_missing=self.find_missing,
        )

    async def find(self, position: Position) -> Record | None:
        """The record at a position."""
        place = TopicPartition(position.topic, position.partition)
        found = self.broker.read(place, position.offset, 1) if place in self.broker.partitions(position.topic) else []
        return found[0] if found else None

    async def find_many(self, positions: Iterable[Position], keep: Callable[[Record], T], /) -> Mapping[Position, T]:
        """Records, as far as they are there."""
        found = {at: await self.find(at) for at in positions}
        return {at: keep(record) for at, record in found.items() if record is not None}

    async def list_topics(self) -> frozenset[str]:
        """Topics that exist and are not hidden."""
        return frozenset(self.broker.topics()) - self.hidden

    async def find_missing(self, names: Iterable[str]) -> list[Missing | Hidden]:
        """Those that do not exist or are hidden; remembers that it was asked."""
        asked = set(names)
        self.questions.append(asked)
        missing = {name for name in asked - self.hidden if not self.broker.partitions(name)}
        return [*map(Missing, sorted(missing)), *map(Hidden, sorted(asked & self.hidden))]

    def dead_letter(
        self,
        reason: str = "unknown-key",
        *,
        value: bytes | None = b'{"ok":true}',
        headers: Headers | None = None,
        ago: float = 0,
        source: Record | None = None,
    ) -> None:
        """Write a dead letter, some seconds ago."""
        letters = DeadLetters(
            MemoryProducer(self.broker), DEAD, group="kallback-bridge", clock=lambda: time.time() - ago
        )
        own = Record(
            RESULTS, 2, 42, 1_700_000_000_000, b"k", value, completed_headers(TOKEN) if headers is None else headers
        )
        asyncio.run(letters.publish(source or own, reason, "because"))

    def run(self, *arguments: str) -> Result:
        """The command; an error of ours is raised."""
        result = CliRunner().invoke(dead_letters, list(arguments), obj=self.clients)
        if isinstance(result.exception, KallbackError):
            raise result.exception
        return result

    def rows(self, *arguments: str) -> list[str]:
        """The ids that list shows."""
        lines = self.run("list", "--json", *arguments).stdout.splitlines()
        return [json.loads(line)["id"] for line in lines]

    def sent(self) -> list[Record]:
        """What lies on the results topic."""
        return self.broker.records(RESULTS)
