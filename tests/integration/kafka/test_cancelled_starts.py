"""Starts and stops that are cancelled at each await, and starts that a stop overtakes: no client stays open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from kallback.kafka import (
    AiokafkaConsumer,
    AiokafkaEndOffsets,
    AiokafkaProducer,
    AiokafkaReader,
    ConsumerOptions,
    OutgoingRecord,
)
from kallback.kafka.aiokafka.topics import check_topics, list_topics
from kallback.protocol import KallbackError
from kallback.settings import KafkaSettings
from kallback.testing import eventually
from kallback.testing.topics import TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

PATIENCE_S = 10.0


@dataclass
class CancelledAt:
    """Work that is cancelled at one of its awaits: the task that awaits it gets the cancellation there.

    Attributes:
        at: which await, from 1 on.
        seen: awaits so far.
    """

    work: Coroutine[Any, Any, Any]
    at: int
    seen: int = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        """Pass everything on, and cancel once."""
        steps = self.work.__await__()
        send: Callable[[Any], Any] = steps.send
        given: Any = None
        while True:
            try:
                wanted = send(given)
            except StopIteration as end:
                return end.value
            self.seen += 1
            if self.seen == self.at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                given, send = (yield wanted), steps.send
            except BaseException as error:  # noqa: BLE001 - a cancellation, too, is the work's to handle
                given, send = error, steps.throw


@dataclass
class Clients:
    """All clients of aiokafka that were made."""

    made: list[Any] = field(default_factory=list[Any])

    def open(self) -> list[str]:
        """Which of them are not closed."""
        return [type(each).__name__ for each in self.made if not each._closed]


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Notes each client that is made."""
    clients = Clients()

    def noting(kind: Any) -> Callable[..., None]:
        make = kind.__init__

        def init(self: object, *args: object, **options: object) -> None:
            make(self, *args, **options)
            clients.made.append(self)

        return init

    for kind in (AIOKafkaConsumer, AIOKafkaProducer):
        monkeypatch.setattr(kind, "__init__", noting(kind))
    return clients


class Part(Protocol):
    """What is started and stopped."""

    async def stop(self) -> None:
        """End."""
        ...


def consumer(settings: KafkaSettings, topic: str) -> tuple[Part, Callable[[], Coroutine[Any, Any, Any]]]:
    """A member of a group."""
    options = ConsumerOptions(session_timeout=6.0, drain_timeout=0.1, commit_metadata=True)
    part = AiokafkaConsumer(settings, [topic], f"{topic}.group", options=options)
    return part, part.start


def reader(settings: KafkaSettings, topic: str) -> tuple[Part, Callable[[], Coroutine[Any, Any, Any]]]:
    """A reader of a topic."""
    part = AiokafkaReader(settings, topic)
    return part, part.start


def producer(settings: KafkaSettings, topic: str) -> tuple[Part, Callable[[], Coroutine[Any, Any, Any]]]:
    """A producer that connects with its first record."""
    part = AiokafkaProducer(settings)
    return part, lambda: part.send(OutgoingRecord(topic, b"1"))


def end_offsets(settings: KafkaSettings, topic: str) -> tuple[Part, Callable[[], Coroutine[Any, Any, Any]]]:
    """What asks where topics end."""
    part = AiokafkaEndOffsets(settings)
    return part, lambda: part.of([topic])


PARTS = [consumer, reader, producer, end_offsets]
Make = Callable[[KafkaSettings, str], tuple[Part, Callable[[], Coroutine[Any, Any, Any]]]]


async def ended(work: Awaitable[Any]) -> None:
    """Await it, however it ends."""
    with suppress(asyncio.CancelledError, KallbackError):
        await work


async def run_cancelled_at(number: int, work: Coroutine[Any, Any, Any]) -> bool:
    """Run work in a task of its own that is cancelled at an await; return whether it came so far."""
    cancelled = CancelledAt(work, number)

    async def run() -> None:
        await cancelled

    await ended(asyncio.wait_for(asyncio.create_task(run()), PATIENCE_S))
    return cancelled.seen >= number


@pytest.mark.parametrize("make", PARTS)
async def test_a_start_that_is_cancelled_leaves_no_client_open(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory, clients: Clients, make: Make
) -> None:
    """At each await; the owner of a consumer calls no `stop`, as an `async with` does not whose start fails."""
    topic, number, reached = topics_factory("t"), 0, True
    while reached:
        number += 1
        part, start = make(kafka_settings, topic)
        reached = await run_cancelled_at(number, start())
        if not reached or make in (producer, end_offsets):  # these connect for a call, and stay connected
            await part.stop()
        await eventually("all clients to be closed", lambda: not clients.open() or None, timeout=PATIENCE_S)
    assert number > 1


@pytest.mark.parametrize("make", PARTS)
async def test_a_stop_that_is_cancelled_leaves_no_client_open(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory, clients: Clients, make: Make
) -> None:
    """At each await: a stop that takes longer than its bound is cancelled."""
    topic, number, reached = topics_factory("t"), 0, True
    while reached:
        number += 1
        part, start = make(kafka_settings, topic)
        await start()
        reached = await run_cancelled_at(number, part.stop())
        await eventually("all clients to be closed", lambda: not clients.open() or None, timeout=PATIENCE_S)
    assert number > 1


@pytest.mark.parametrize("make", PARTS)
async def test_a_stop_during_a_start_leaves_no_client_open(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory, clients: Clients, make: Make
) -> None:
    """Whatever the start waits for when the stop comes."""
    topic, steps, is_over = topics_factory("t"), 0, False
    while not is_over:
        steps += 1
        part, start = make(kafka_settings, topic)
        starting = asyncio.create_task(start())
        for _ in range(2**steps):
            await asyncio.sleep(0)
        is_over = starting.done()
        await part.stop()
        await ended(asyncio.wait_for(starting, PATIENCE_S))
        await eventually("all clients to be closed", lambda: not clients.open() or None, timeout=PATIENCE_S)


def check(settings: KafkaSettings, topic: str) -> Coroutine[Any, Any, Any]:
    """Ask whether a topic exists."""
    return check_topics(settings, [topic])


def names(settings: KafkaSettings, _: str) -> Coroutine[Any, Any, Any]:
    """Ask for the names of all topics."""
    return list_topics(settings)


@pytest.mark.parametrize("ask", [check, names])
async def test_a_question_about_topics_that_is_cancelled_leaves_no_client_open(
    kafka_settings: KafkaSettings,
    topics_factory: TopicFactory,
    clients: Clients,
    ask: Callable[[KafkaSettings, str], Coroutine[Any, Any, Any]],
) -> None:
    """At each await."""
    topic, number, reached = topics_factory("t"), 0, True
    while reached:
        number += 1
        reached = await run_cancelled_at(number, ask(kafka_settings, topic))
        await eventually("all clients to be closed", lambda: not clients.open() or None, timeout=PATIENCE_S)
