"""What tests of workers have on a real Kafka: topics of their own, tasks as the sdk sends them, results read back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from kallback.kafka import AiokafkaProducer, AiokafkaReader, ConsumerOptions, OutgoingRecord
from kallback.protocol import Attempt, Cancel, CancelReason, TaskHeaders, TaskId, TaskType
from kallback.settings import Settings
from kallback.testing.topics import TopicFactory
from kallback.workers import Client, Worker, WorkerOptions

_PATIENCE = 60.0
_NO_DEADLINE = 4_000_000_000_000


@dataclass(frozen=True)
class Seen:
    """A record as read back."""

    task_id: str
    headers: dict[str, str]
    value: bytes | None


def as_text(value: bytes | None) -> str:
    """A header's value; those that Spring reads are binary numbers, which no test here looks at."""
    return (value or b"").decode(errors="replace")


class KafkaWorkerEnv:
    """Workers of one group, and what is on the topics of one test."""

    def __init__(self, settings: Settings, producer: AiokafkaProducer, topics: TopicFactory, client: Client) -> None:
        self.settings = settings
        self.client = client
        self.group = topics("kitchen", partitions=1)  # a unique name; the topic of this name serves as task topic
        self.prepare = TaskType("prepare", request=str, result=str, topic=self.group)
        self.make_topic = topics
        self.results_topic = settings.topics.results
        self._producer = producer
        self._workers: list[Worker] = []
        self._process_pool: list[asyncio.subprocess.Process] = []

    def worker(self, **options: Any) -> Worker:
        """A worker of this test's group; a rebalance waits for its tasks but briefly."""
        consumer = ConsumerOptions(drain_timeout=0.2, session_timeout=6, commit_interval=0.1)
        chosen = WorkerOptions(**{"consumer": consumer, "retry_delay": 0.01, **options})
        worker = Worker(self.group, settings=self.settings, options=chosen, client=self.client)
        self._workers.append(worker)
        return worker

    def cook(self, worker: Worker) -> list[str]:
        """Register a function that answers at once; returns the list of what it did."""
        done: list[str] = []

        @worker.task(self.prepare)
        async def cook(dish: str) -> str:
            done.append(dish)
            return f"hot {dish}"

        return done

    async def send(self, task_id: str, value: bytes | None = None, **changes: Any) -> None:
        """Put a task on the task topic; its request is its id."""
        topic, key = changes.pop("topic", self.group), changes.pop("key", task_id)
        members: dict[str, Any] = {"token": f"kb1:{task_id}", "task_type": "prepare", "reply_to": self.results_topic}
        members |= {"deadline_ms": _NO_DEADLINE} | changes
        headers = TaskHeaders(task_id=TaskId(task_id), attempt=Attempt(1), **members).encode()
        body = orjson.dumps(task_id) if value is None else value
        await self._producer.send(OutgoingRecord(topic, body, key.encode(), headers))

    async def send_watched(self, task_id: str, *, every: float = 60.0, **changes: Any) -> None:
        """Put a task on the task topic whose caller wants heartbeats."""
        progress_to = self.settings.topics.progress
        await self.send(task_id, progress_to=progress_to, heartbeat_every_ms=int(every * 1000), **changes)

    async def put(self, topic: str, value: bytes | None) -> None:
        """Put a bare record on any topic."""
        await self._producer.send(OutgoingRecord(topic, value))

    async def cancel(self, task_id: str, *, secret: str | None = None) -> None:
        """Put a cancel on the control topic."""
        cancel = Cancel(TaskId(task_id), CancelReason.CANCELLED, int(time.time() * 1000), None, secret).encode()
        await self._producer.send(OutgoingRecord(self.settings.topics.control, cancel, task_id.encode()))

    async def read(self, topic: str, count: int, *, patience: float = _PATIENCE) -> list[Seen]:
        """The records of a topic, once there are so many."""
        found: list[Seen] = []
        async with AiokafkaReader(self.settings.kafka, topic) as reader:
            try:
                async with asyncio.timeout(patience):
                    while len(found) < count or not reader.caught_up.is_set():
                        for record in await reader.fetch(0.2):
                            headers = {name: as_text(value) for name, value in record.headers}
                            found.append(Seen((record.key or b"").decode(), headers, record.value))
            except TimeoutError:
                pytest.fail(f"waited {patience:g} s for {count} records on {topic}, there are {len(found)}")
        return found

    async def results(self, count: int) -> list[str]:
        """The task ids of the results, sorted, once there are so many."""
        return sorted(seen.task_id for seen in await self.read(self.results_topic, count))

    async def dead(self, count: int) -> list[str]:
        """The reasons of the dead letters, sorted, once there are so many."""
        letters = await self.read(self.settings.topics.dead_letters, count)
        return sorted(letter.headers["kallback-dead-reason"] for letter in letters)

    async def process(self) -> asyncio.subprocess.Process:
        """A worker process of `kitchen.py`, started by the command as users do."""
        environment = os.environ | {
            "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers,
            "KALLBACK_TOPICS_PREFIX": self.settings.topics.prefix,
            "KITCHEN": self.group,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "kallback.cli", "worker", "kitchen:worker", "--client", self.client),
            cwd=Path(__file__).parent,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        self._process_pool.append(process)
        return process

    async def line(self, process: asyncio.subprocess.Process, wanted: str) -> str:
        """Wait until a process prints a line that begins so; return the rest of it."""
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_PATIENCE):
                async for line in process.stdout:
                    if line.decode().startswith(wanted):
                        return line.decode().removeprefix(wanted).strip()
        except TimeoutError:
            pytest.fail(f"waited {_PATIENCE} s for the line {wanted!r}")
        pytest.fail(f"the process ended without the line {wanted!r}")

    @staticmethod
    async def until(true: Callable[[], object], what: str) -> None:
        """Poll until something is so."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while not true():  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"waited {_PATIENCE} s for {what}")

    async def close(self) -> None:
        """End what the test has left running."""
        for process in self._process_pool:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.communicate()
        for worker in self._workers:
            await worker.stop()
