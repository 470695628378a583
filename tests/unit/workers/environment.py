"""What tests of workers have: a broker in memory, a clock that stands still, and tasks put on it as the sdk would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from kallback.kafka import ConsumerOptions, MemoryBroker, MemoryClients, MemoryConsumer, OutgoingRecord, Record
from kallback.protocol import Attempt, Cancel, CancelReason, TaskHeaders, TaskId, TaskType, read_progress
from kallback.settings import Settings, Topics
from kallback.workers import TaskContext, Worker, WorkerOptions

NOW = 1_700_000_000.0
_PATIENCE_S = 60  # child processes take seconds to start on a busy machine


@dataclass
class Order:
    """What is asked for."""

    dish: str
    count: int = 1


@dataclass
class Prepared:
    """What comes back."""

    dish: str


PREPARE = TaskType("prepare", request=Order, result=Prepared, topic="orders")


@dataclass
class CountedClients(MemoryClients):
    """Remembers its consumers, so that a test can let one crash."""

    consumers: list[MemoryConsumer] = field(default_factory=list[MemoryConsumer])

    def consumer(self, topics: Sequence[str], group: str, options: ConsumerOptions) -> MemoryConsumer:
        """A member of a group."""
        self.consumers.append(super().consumer(topics, group, options))
        return self.consumers[-1]


@dataclass(frozen=True)
class Seen:
    """A result record as the bridge would see it."""

    token: str
    status: str
    value: Any


class WorkerEnv:
    """Workers on a broker in memory, and what is on its topics."""

    order_type = Order
    prepared_type = Prepared
    prepare = PREPARE

    def __init__(self) -> None:
        self.now = NOW
        self.broker = MemoryBroker(clock=lambda: self.now)
        self.topics = Topics()
        for topic in ("orders", "elsewhere", *self.topics.all()):
            self.broker.create_topic(topic)
        self.clients = CountedClients(self.broker)
        self.workers: list[Worker] = []

    def worker(self, group: str = "kitchen", **options: Any) -> Worker:
        """A worker on this broker, with retries fast enough for tests."""
        chosen = WorkerOptions(**{"retry_delay": 0.001, "retry_delay_limit": 0.005, **options})
        settings = Settings(topics=self.topics)
        worker = Worker(group, settings=settings, options=chosen, kafka=self.clients, clock=lambda: self.now)
        self.workers.append(worker)
        return worker

    def cook(self, worker: Worker, kind: TaskType[Any, Any] = PREPARE) -> list[str]:
        """Register a function that prepares at once; returns the list of what it did."""
        done: list[str] = []

        @worker.task(kind)
        async def cook(order: Order, task: TaskContext) -> Prepared:
            done.append(task.task_id)
            return Prepared(order.dish)

        return done

    def headers(self, task_id: str = "t1", **changes: Any) -> TaskHeaders:
        """The headers of a task for PREPARE."""
        attempt = Attempt(changes.pop("attempt", 1))
        members = {"token": f"kb1:{task_id}", "task_type": "prepare", "reply_to": self.topics.results} | changes
        return TaskHeaders(task_id=TaskId(task_id), attempt=attempt, **members)

    def send(self, task_id: str = "t1", value: bytes | None = b'{"dish":"soup"}', **changes: Any) -> None:
        """Put a task on its topic, or on another one; with a record key or without."""
        topic, key = changes.pop("topic", "orders"), changes.pop("key", None)
        self.put(topic, value, self.headers(task_id, **changes).encode(), key)

    def send_watched(self, task_id: str = "t1", *, every: float = 60.0, **changes: Any) -> None:
        """Put a task on its topic whose caller wants heartbeats."""
        self.send(task_id, progress_to=self.topics.progress, heartbeat_every_ms=int(every * 1000), **changes)

    def put(
        self,
        topic: str,
        value: bytes | None,
        headers: tuple[tuple[str, bytes | None], ...] = (),
        key: bytes | None = None,
    ) -> None:
        """Put any record on any topic."""
        self.broker.append(OutgoingRecord(topic, value, key, headers))

    def progress(self) -> list[Any]:
        """What was told of running attempts, in order: signal and details."""
        records = [read_progress(each.value, each.headers) for each in self.broker.records(self.topics.progress)]
        reports = [each.report() for each in records]
        return [(str(each.signal), orjson.loads(each.details or b"null")) for each in reports]

    def cancel(
        self,
        task_id: str = "t1",
        *,
        attempt: int | None = None,
        secret: str | None = None,
        reason: CancelReason = CancelReason.CANCELLED,
    ) -> None:
        """Put a cancel on the control topic."""
        chosen = None if attempt is None else Attempt(attempt)
        cancel = Cancel(TaskId(task_id), reason, int(self.now * 1000), chosen, secret)
        self.put(self.topics.control, cancel.encode())

    def record(self, headers: TaskHeaders | None = None, value: bytes | None = b'{"dish":"soup"}') -> Record:
        """A fetched task record."""
        return Record("orders", 0, 0, 0, None, value, (headers or self.headers()).encode())

    def results(self, topic: str | None = None) -> list[Seen]:
        """What was published, in order."""
        found: list[Seen] = []
        for record in self.broker.records(topic or self.topics.results):
            headers = {name: (text or b"").decode() for name, text in record.headers}
            found.append(
                Seen(headers["kallback-token"], headers["kallback-status"], orjson.loads(record.value or b"null"))
            )
        return found

    def dead(self) -> list[str]:
        """The reasons of the dead letters, in order."""
        letters = self.broker.records(self.topics.dead_letters)
        return [(dict(letter.headers)["kallback-dead-reason"] or b"").decode() for letter in letters]

    def committed(self, group: str = "kitchen") -> int:
        """The commit position of the task topic."""
        return self.broker.committed(group, "orders").get(0, 0)

    async def settled(self, count: int) -> None:
        """Wait until so many records are committed."""

        async def commit() -> bool:
            await self.clients.consumers[-1].commit()
            return self.committed() >= count

        async with asyncio.timeout(_PATIENCE_S):
            while not await commit():  # noqa: ASYNC110 - there is no event for a commit position
                await asyncio.sleep(0.002)

    @staticmethod
    async def until(true: Callable[[], object], what: str) -> None:
        """Poll until something is so."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not true():  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.002)
        except TimeoutError:
            pytest.fail(f"waited {_PATIENCE_S} s for {what}")
