"""A Restate service under test, and a worker and a bridge of a few lines each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import restate
from msgspec import to_builtins

from kallback.kafka import AiokafkaReader, ConfluentProducer, OutgoingRecord, Position, Record
from kallback.protocol import (
    Cancel,
    Completed,
    Failed,
    Keyring,
    MissingTopicError,
    Problem,
    TaskHeaders,
    TaskType,
    seal,
)
from kallback.sdk import Callbacks
from kallback.settings import KafkaSettings, KeySettings, Settings, Topics
from kallback.testing import Admin, Ingress, Stack, TopicFactory, eventually, serve_endpoint


@dataclass(frozen=True, slots=True)
class Order:
    """What the handler sends."""

    dish: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the worker answers."""

    shelf: str


@dataclass(slots=True)
class Invocation:
    """One invocation of the handler under test."""

    id: str
    ingress: Ingress

    async def result(self) -> Any:
        """Wait for what the handler returned; a terminal error is a `RestateError`."""
        return await self.ingress.attach(self.id)


@dataclass(frozen=True, slots=True)
class Site:
    """What all tests of this folder share, because it takes seconds to make: servers, topics, clients."""

    stack: Stack
    settings: Settings
    task_topic: str
    ingress: Ingress
    admin: Admin
    http: httpx.AsyncClient
    tasks: AiokafkaReader
    controls: AiokafkaReader
    producer: ConfluentProducer


@dataclass(eq=False)
class World:
    """Everything around the handler under test. Records of other tests are passed over."""

    site: Site
    callbacks: Callbacks
    prepare: TaskType[Order, Prepared]
    _tasks: list[Record] = field(default_factory=list)
    _cancels: list[Cancel] = field(default_factory=list)
    _own: set[str] = field(default_factory=set)

    Order = Order
    Prepared = Prepared

    def __getattr__(self, name: str) -> Any:
        """What the site has."""
        return getattr(self.site, name)

    async def outcome(self, work: Awaitable[Any]) -> dict[str, Any]:
        """Inside a handler: the value, or the terminal error, as something to assert on."""
        try:
            return {"value": to_builtins(await work)}
        except restate.TerminalError as error:
            return {
                "kind": type(error).__name__,
                "code": error.status_code,
                "message": error.message,
                "type": getattr(error, "type", None),
                "metadata": error.metadata,
            }

    @asynccontextmanager
    async def serving(self, *handlers: Callable[..., Awaitable[Any]]) -> AsyncGenerator[str]:
        """Serve the handlers as one service next to the sdk's own; yields the service's name."""
        service = restate.Service(f"Service{uuid4().hex[:8]}")
        for handler in handlers:
            service.handler()(handler)
        async with self.serving_app(service):
            yield service.name

    @asynccontextmanager
    async def serving_app(self, *services: Any) -> AsyncGenerator[None]:
        """Serve whole services next to the sdk's own."""
        async with serve_endpoint(restate.app([*services, *self.callbacks.services]), self.stack.restate):
            yield

    @asynccontextmanager
    async def invoked(self, handler: Callable[..., Awaitable[Any]], body: Any = ...) -> AsyncGenerator[Invocation]:
        """Serve one handler and start it once."""
        async with self.serving(handler) as service:
            yield Invocation(await self.ingress.send(f"{service}/{handler.__name__}", body), self.ingress)

    async def task(self) -> Record:
        """The next task record."""

        async def fetch() -> Record | None:
            for record in [] if self._tasks else await self.site.tasks.fetch(0.2):
                headers = TaskHeaders.decode(record.headers)
                if headers.task_type.startswith(self.prepare.name):
                    self._own.add(headers.task_id)
                    self._tasks.append(record)
            return self._tasks.pop(0) if self._tasks else None

        return await eventually("a task record", fetch)

    async def cancel_record(self) -> Cancel:
        """The next cancel of a task that `task` returned."""

        async def fetch() -> Cancel | None:
            await self._fetch_cancels(0.2)
            return self._cancels.pop(0) if self._cancels else None

        return await eventually("a cancel", fetch)

    async def tells_nothing(self) -> bool:
        """Whether no cancel is there, after the time that one would need."""
        await self._fetch_cancels(1.0)
        return not self._cancels

    async def _fetch_cancels(self, patience: float) -> None:
        if not self._cancels:
            cancels = [Cancel.decode(record.value) for record in await self.site.controls.fetch(patience)]
            self._cancels.extend(cancel for cancel in cancels if cancel.task_id in self._own)

    async def complete(self, task: Record, value: bytes) -> None:
        """Do as worker and bridge together: post the envelope of a result."""
        await self.post(task, seal(*whose(task), Completed(value)))

    async def fail(self, task: Record, problem: Problem) -> None:
        """Do as worker and bridge together: post the envelope of a failure."""
        await self.post(task, seal(*whose(task), Failed(problem.encode())))

    async def post(self, task: Record, body: bytes) -> None:
        """Resolve the task's awakeable with any bytes."""
        await self.post_to(self.awakeable_of(task), body)

    def awakeable_of(self, task: Record) -> str:
        """The awakeable that a task's token names."""
        token = TaskHeaders.decode(task.headers).token
        return Keyring.insecure().verify(token, self.settings.keys.audience).awakeable_id

    async def post_to(self, awakeable_id: str, body: bytes) -> None:
        """Resolve an awakeable with any bytes."""
        url = f"{self.stack.ingress_url}/restate/awakeables/{awakeable_id}/resolve"
        answer = await self.http.post(url, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 202, answer.text


Send = Callable[[OutgoingRecord], Awaitable[Position]]
Trouble = Callable[[OutgoingRecord, Send], Awaitable[Position]]


class TroubledProducer:
    """A real producer, with something in between: `trouble(record, send)`."""

    def __init__(self, real: ConfluentProducer, trouble: Trouble) -> None:
        self._real = real
        self._trouble = trouble

    async def send(self, record: OutgoingRecord) -> Position:
        """Send through the trouble."""
        return await self._trouble(record, self._real.send)


async def reader(kafka: KafkaSettings, topic: str) -> AiokafkaReader:
    """A started reader of a topic that was made a moment ago, and that the broker may not show yet."""

    async def started() -> AiokafkaReader | None:
        new = AiokafkaReader(kafka, topic)
        try:
            await new.start()
        except MissingTopicError:
            return None
        return new

    return await eventually(f"topic {topic}", started)


def whose(task: Record) -> tuple[Any, Any]:
    """Task id and attempt of a task record."""
    headers = TaskHeaders.decode(task.headers)
    return headers.task_id, headers.attempt


@pytest.fixture(scope="session")
async def site(kallback_stack: Stack, topics_factory: TopicFactory) -> AsyncGenerator[Site]:
    """Both servers, topics of this folder's own, the published key."""
    topics = Topics(prefix=f"sdk-{uuid4().hex[:8]}.")
    topics_factory.make(topics.all())
    task_topic = topics_factory("prepare")
    kafka = KafkaSettings(kallback_stack.bootstrap_servers)
    async with (
        Ingress(kallback_stack.ingress_url) as ingress,
        Admin(kallback_stack.admin_url) as admin,
        httpx.AsyncClient() as http,
        await reader(kafka, task_topic) as tasks,
        await reader(kafka, topics.control) as controls,
        ConfluentProducer(kafka) as producer,  # one for all, because its first record takes half a second
    ):
        settings = Settings(kafka=kafka, topics=topics, keys=KeySettings(insecure=True))
        yield Site(kallback_stack, settings, task_topic, ingress, admin, http, tasks, controls, producer)


@pytest.fixture
def make_world(site: Site) -> Callable[..., AbstractAsyncContextManager[World]]:
    """A world; `trouble` stands between the sdk and the real producer."""

    @asynccontextmanager
    async def make(trouble: Trouble | None = None, **options: Any) -> AsyncGenerator[World]:
        name = f"prepare.{uuid4().hex[:8]}"
        prepare = TaskType(name, Order, Prepared, timeout=timedelta(seconds=60), topic=site.task_topic)
        producer = TroubledProducer(site.producer, trouble) if trouble else site.producer
        own = {"settings": site.settings, "producer": producer} | options
        async with Callbacks(**own) as callbacks:
            yield World(site, callbacks, prepare)

    return make


@pytest.fixture
async def world(make_world: Callable[..., AbstractAsyncContextManager[World]]) -> AsyncGenerator[World]:
    """A world without trouble."""
    async with make_world() as made:
        yield made
