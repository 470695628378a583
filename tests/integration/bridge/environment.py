"""A results topic with a Restate service that waits on awakeables, and bridges between the two."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import confluent_kafka
import pytest
import restate
from restate.serde import BytesSerde

from kallback.bridge import Bridge, BridgeOptions, Client, Clocks, Dependencies, Settled
from kallback.kafka import AiokafkaReader, ConfluentProducer, OutgoingRecord, Position, Record
from kallback.protocol import Attempt, AwakeableId, Keyring, Token, completed_headers, failed_headers, task_id_of
from kallback.settings import KafkaSettings, KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Stack
from kallback.testing.clients.restate import Ingress
from kallback.testing.polling import eventually

both_clients = pytest.mark.parametrize("results", list(Client), indirect=True)
"""A test whose rule depends on how a bridge reads and commits; the others are the same with each client."""

KEYRING = Keyring({"k1": hashlib.sha256(b"one").digest()})

AWAKEABLES: dict[str, AwakeableId] = {}
"""Awakeable ids of the handlers that wait, by the name they were called with."""

waiter = restate.Service("BridgeWaiter")


@waiter.handler()
async def wait(ctx: restate.Context, name: str) -> str:
    """Wait on an awakeable and return what it was completed with."""
    awakeable, completed = ctx.awakeable(serde=BytesSerde())
    AWAKEABLES[name] = AwakeableId(awakeable)
    return (await completed).decode()


def unused_awakeable(signal: int = 17) -> AwakeableId:
    """An id that Restate accepts completions for, though no handler waits."""
    raw = os.urandom(24) + signal.to_bytes(4, "big")
    return AwakeableId("sign_1" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@dataclass
class WaitingHandler:
    """A handler that waits, and the token that completes it."""

    token: Token
    answer: asyncio.Task[Any]

    async def envelope(self) -> dict[str, Any]:
        """What it was completed with, as JSON."""
        envelope: dict[str, Any] = json.loads(await asyncio.wait_for(self.answer, 60))
        return envelope


@dataclass
class ResultsTopic:
    """One results topic, and everything that a test does with it.

    Attributes:
        client: the Kafka client of bridges.
    """

    settings: Settings
    producer: ConfluentProducer
    ingress: Ingress
    client: Client = Client.CONFLUENT
    settled: list[Settled] = field(default_factory=list[Settled])

    def token(self, awakeable: AwakeableId | None = None, *, deadline: float | None = None) -> Token:
        """A token; `deadline` in seconds from now."""
        deadline_ms = 0 if deadline is None else int((time.time() + deadline) * 1000)
        return Token(
            "kitchen.prepare", task_id_of(os.urandom(12)), Attempt(1), awakeable or unused_awakeable(), deadline_ms
        )

    def sign(self, token: Token | None = None, keyring: Keyring = KEYRING, audience: str | None = None) -> str:
        """The token's text."""
        return keyring.sign(token or self.token(), audience or self.settings.topics.results)

    async def waiting_handler(self, *, deadline: float | None = None) -> WaitingHandler:
        """Start a handler; returns when it waits."""
        name = uuid4().hex
        answer = asyncio.create_task(self.ingress.call("BridgeWaiter/wait", name))
        await eventually("the handler's awakeable", lambda: name in AWAKEABLES)
        return WaitingHandler(self.token(AWAKEABLES[name], deadline=deadline), answer)

    async def send(self, value: bytes | None, *headers: tuple[str, bytes]) -> Position:
        """Write any record to the results topic."""
        return await self.producer.send(OutgoingRecord(self.settings.topics.results, value, None, headers))

    async def complete(self, token: Token | str | None = None, value: bytes | None = b'{"ok":true}') -> Position:
        """Write a completed result."""
        text = token if isinstance(token, str) else self.sign(token)
        return await self.send(value, *completed_headers(text))

    async def fail(self, token: Token, value: bytes) -> Position:
        """Write a failed result."""
        return await self.send(value, *failed_headers(self.sign(token)))

    async def fill(self, count: int) -> set[tuple[int, int]]:
        """Write so many results without a waiting handler; return their positions."""
        positions = await asyncio.gather(*(self.complete() for _ in range(count)))
        return {(position.partition, position.offset) for position in positions}

    def bridge(self, options: BridgeOptions | None = None, *, clocks: Clocks | None = None) -> Bridge:
        """A bridge of this topic, not started."""
        dependencies = Dependencies(clocks=clocks or Clocks())
        chosen = replace(options or BridgeOptions(), client=self.client)
        return Bridge(self.settings, chosen, dependencies=dependencies, on_settled=self.settled.append)

    async def settle(self, count: int, *, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - eventually's own
        """Wait until so many records have an outcome."""
        await eventually(
            f"{count} settled records", lambda: sum(each.count for each in self.settled) >= count, timeout=timeout
        )

    def outcomes(self) -> dict[str, int]:
        """Settled records by outcome."""
        kinds = [settled.outcome.value for settled in self.settled for _ in range(settled.count)]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    async def read(self, topic: str) -> list[Record]:
        """Everything that a topic holds now."""
        async with AiokafkaReader(self.settings.kafka, topic) as reader:
            records: list[Record] = []
            while not reader.caught_up.is_set():
                records += await reader.fetch(1.0)
            return records

    async def dead_letters(self) -> dict[tuple[int, int], Record]:
        """Dead letters by the position of their records."""
        found = await self.read(self.settings.topics.dead_letters)
        return {
            (int(header(it, "kallback-dead-partition")), int(header(it, "kallback-dead-offset"))): it for it in found
        }

    async def establish_group(self) -> None:
        """Commit the beginning of each partition: the group of the bridges is not new, and late results are late."""
        await asyncio.to_thread(self._establish, BridgeOptions().group_for(self.settings.topics.results))

    def _establish(self, group: str) -> None:
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.settings.kafka.bootstrap_servers, "group.id": group}
        )
        topic = self.settings.topics.results
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        offsets = [confluent_kafka.TopicPartition(topic, number, 0) for number in numbers]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()

    async def lag(self) -> int:
        """Records of the results topic above the group's commit positions."""
        ends, committed = await self._positions()
        return ends - committed

    async def committed(self) -> int:
        """Records of the results topic below the group's commit positions."""
        return (await self._positions())[1]

    async def _positions(self) -> tuple[int, int]:
        return await asyncio.to_thread(self._ask_for_positions, BridgeOptions().group_for(self.settings.topics.results))

    def _ask_for_positions(self, group: str) -> tuple[int, int]:
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.settings.kafka.bootstrap_servers, "group.id": group}
        )
        try:
            topic = self.settings.topics.results
            numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            asked = [confluent_kafka.TopicPartition(topic, number) for number in numbers]
            ends = [consumer.get_watermark_offsets(each, timeout=10)[1] for each in asked]
            found = consumer.committed(asked, timeout=10)
            return sum(ends), sum(max(0, each.offset) for each in found)
        finally:
            consumer.close()


def header(record: Record, name: str) -> str:
    """One header as text."""
    return next(value or b"" for key, value in record.headers if key == name).decode()


async def open_results_topic(stack: Stack, topics: Topics, until: AsyncExitStack) -> ResultsTopic:
    """Settings and clients for one set of topics, closed with the exit stack."""
    settings = Settings(
        kafka=KafkaSettings(stack.bootstrap_servers),
        restate=RestateSettings(stack.ingress_url, stack.admin_url, request_timeout=5.0),
        topics=topics,
        keys=KeySettings(keyring=KEYRING),
    )
    producer = await until.enter_async_context(ConfluentProducer(settings.kafka))
    ingress = await until.enter_async_context(Ingress(stack.ingress_url))
    return ResultsTopic(settings, producer, ingress)


@dataclass
class RunningBridge:
    """A bridge that runs for a whole module, with outcome records switched on."""

    results: ResultsTopic
    bridge: Bridge

    async def outcome(self, position: Position) -> dict[str, Any]:
        """The outcome record of one result record, once it is there."""

        async def look() -> dict[str, Any] | None:
            for record in await self.results.read(self.results.settings.topics.outcomes):
                line: dict[str, Any] = json.loads(record.value or b"")
                if (line["source"]["partition"], line["source"]["offset"]) == (position.partition, position.offset):
                    return line
            return None

        await eventually("the outcome", lambda: any(_at(it, position) for it in self.results.settled))
        found: dict[str, Any] | None = await eventually("the outcome record", look)
        assert found is not None
        return found

    async def dead_letter(self, position: Position) -> Record:
        """The dead letter of one result record."""
        return (await self.results.dead_letters())[position.partition, position.offset]


def _at(settled: Settled, position: Position) -> bool:
    record = settled.record
    return record.partition == position.partition and record.offset <= position.offset < record.next_offset


def with_restate(results: ResultsTopic, **settings: Any) -> ResultsTopic:
    """The same topic, another way to Restate."""
    return replace(results, settings=replace(results.settings, restate=replace(results.settings.restate, **settings)))
