"""A Restate service under test; a worker and a bridge of a few lines each."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

import httpx
import restate
from msgspec import to_builtins

from kallback.kafka import AiokafkaReader, ConfluentProducer, OutgoingRecord, Position, Record
from kallback.lifecycle import StartStop
from kallback.protocol import (
    Attempt,
    Cancel,
    Completed,
    Failed,
    Keyring,
    Problem,
    ServiceNames,
    TaskHeaders,
    TaskId,
    TaskType,
    seal,
)
from kallback.sdk import Callbacks, TaskHandle, TaskNotSent
from kallback.settings import Settings
from kallback.testing import Admin, Ingress, Stack, eventually, serve_endpoint

Handler = Callable[..., Awaitable[Any]]
Send = Callable[[OutgoingRecord], Awaitable[Position]]
Fault = Callable[[OutgoingRecord, Send], Awaitable[Position]]
"""What is between the sdk and the real producer."""
TaskRecord = Record | OutgoingRecord
"""As it was fetched, or as it was sent."""


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
class SdkServers:
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
class SdkEnv:
    """Everything around the handler under test. Records of other tests are passed over."""

    servers: SdkServers
    settings: Settings
    callbacks: Callbacks
    prepare: TaskType[Order, Prepared]
    _tasks: list[Record] = field(default_factory=list[Record])
    _cancels: list[Cancel] = field(default_factory=list[Cancel])
    _own: set[str] = field(default_factory=set[str])
    _overdue: TaskId | None = None

    @property
    def stack(self) -> Stack:
        """Kafka and Restate."""
        return self.servers.stack

    @property
    def ingress(self) -> Ingress:
        """Restate's ingress."""
        return self.servers.ingress

    @property
    def admin(self) -> Admin:
        """Restate's admin API."""
        return self.servers.admin

    @property
    def services(self) -> ServiceNames:
        """The names of kallback's own services."""
        return self.settings.services

    @property
    def http(self) -> httpx.AsyncClient:
        """For bodies that are not JSON."""
        return self.servers.http

    def limited(self, **limits: Any) -> TaskType[Order, Prepared]:
        """The task type with other limits."""
        return replace(self.prepare, **limits)

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

    async def start_overdue(self, ctx: restate.Context) -> TaskHandle[Prepared]:
        """Inside a handler: start a task whose deadline passes soon, but not before Kafka has the task.

        The slower the machine is, the later that deadline is.
        """
        for seconds in (0.5, 2, 8, 32):
            try:
                handle = await self.callbacks.start(ctx, self.prepare, Order("x"), timeout=timedelta(seconds=seconds))
            except TaskNotSent:
                continue
            self._overdue = handle.task_id
            return handle
        raise restate.TerminalError("Kafka takes more than 32 s for a task")

    async def overdue_task(self) -> Record:
        """The record of the task that `start_overdue` returned."""
        task_id = await eventually("a task that was sent", lambda: self._overdue, timeout=60)
        while id_and_attempt(task := await self.task())[0] != task_id:
            pass
        return task

    @asynccontextmanager
    async def serving(self, *handlers: Handler) -> AsyncGenerator[str]:
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
    async def invoked(self, handler: Handler, body: Any = ...) -> AsyncGenerator[Invocation]:
        """Serve one handler and start it once."""
        async with self.serving(handler) as service:
            yield Invocation(await self.ingress.send(f"{service}/{handler.__name__}", body), self.ingress)

    async def task(self) -> Record:
        """The next task record."""

        async def fetch() -> Record | None:
            for record in [] if self._tasks else await self.servers.tasks.fetch(0.2):
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

    async def has_no_cancel(self) -> bool:
        """Whether no cancel of this test is there, after the time that one would need."""
        until = time.monotonic() + 1.0
        while not self._cancels and time.monotonic() < until:
            await self._fetch_cancels(0.2)
        return not self._cancels

    async def _fetch_cancels(self, seconds: float) -> None:
        if not self._cancels:
            cancels = [Cancel.decode(record.value or b"") for record in await self.servers.controls.fetch(seconds)]
            self._cancels.extend(cancel for cancel in cancels if cancel.task_id in self._own)

    async def complete(self, task: TaskRecord, value: bytes) -> None:
        """Do as worker and bridge together: post the envelope of a result."""
        await self.post(task, seal(*id_and_attempt(task), Completed(value)))

    async def fail(self, task: TaskRecord, problem: Problem) -> None:
        """Do as worker and bridge together: post the envelope of a failure."""
        await self.post(task, seal(*id_and_attempt(task), Failed(problem.encode())))

    async def post(self, task: TaskRecord, body: bytes) -> None:
        """Resolve the task's awakeable with any bytes."""
        await self.post_to(self.awakeable_of(task), body)

    def awakeable_of(self, task: TaskRecord) -> str:
        """The awakeable that a task's token names."""
        token = TaskHeaders.decode(task.headers).token
        return Keyring.insecure().verify(token, self.settings.keys.audience).awakeable_id

    async def post_to(self, awakeable_id: str, body: bytes) -> None:
        """Resolve an awakeable with any bytes."""
        url = f"{self.stack.ingress_url}/restate/awakeables/{awakeable_id}/resolve"
        answer = await self.http.post(url, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 202, answer.text


class EnvFactory(Protocol):
    """Makes environments; `options` are those of `Callbacks`."""

    def __call__(
        self, fault: Fault | None = None, *, settings: Settings | None = None, **options: Any
    ) -> AbstractAsyncContextManager[SdkEnv]:
        """Make one."""
        ...


class FaultyProducer(StartStop):
    """A real producer with a fault in front of it."""

    def __init__(self, real: ConfluentProducer, fault: Fault) -> None:
        self._real = real
        self._fault = fault

    async def send(self, record: OutgoingRecord) -> Position:
        """Send through the fault."""
        return await self._fault(record, self._real.send)

    async def start(self) -> None:
        """The real one is started by its owner."""

    async def stop(self) -> None:
        """The real one is stopped by its owner."""


def id_and_attempt(task: TaskRecord) -> tuple[TaskId, Attempt]:
    """Task id and attempt of a task record."""
    headers = TaskHeaders.decode(task.headers)
    return headers.task_id, headers.attempt
