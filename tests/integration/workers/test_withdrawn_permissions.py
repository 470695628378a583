"""Permissions withdrawn while bridges and workers run: without one to read they end, one to write is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import pytest
from confluent_kafka.admin import AclOperation
from tests.integration.guarded_kafka import GROUP, TOPIC, Guarded, guarded_kafka

from kallback.bridge import Bridge, BridgeOptions
from kallback.kafka import ConfluentProducer, ConsumerOptions, OutgoingRecord
from kallback.protocol import AccessDeniedError, Attempt, Keyring, TaskHeaders, TaskId, TaskType
from kallback.settings import KeySettings, RestateSettings, Settings, Topics
from kallback.testing import eventually
from kallback.workers import Client, Worker, WorkerOptions

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

READ, WRITE = AclOperation.READ, AclOperation.WRITE
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def guarded() -> Generator[Guarded]:
    """A broker on which alice may do nothing unless it is allowed."""
    with guarded_kafka() as server:
        yield server


@dataclass(frozen=True)
class Installation:
    """Topics of one test, on which alice's bridge or worker has the permissions of its role."""

    guarded: Guarded
    settings: Settings
    task_topic: str
    producer: ConfluentProducer

    def name(self, what: str) -> str:
        """The topic or group that is meant."""
        topics = self.settings.topics
        named = {
            "results": topics.results,
            "control": topics.control,
            "dead letters": topics.dead_letters,
            "progress": topics.progress,
        }
        return named.get(what, self.task_topic)

    def withdraw(self, what: str) -> str:
        """Take back what alice may do; return the name in the sentence."""
        group = what.startswith("group ")
        name = what.removeprefix("group ") if group else self.name(what)
        self.guarded.forbid(GROUP if group else TOPIC, name)
        return name

    async def send_task(self, **changes: Any) -> None:
        """Put a task on its topic."""
        headers = TaskHeaders(
            token="kb1:x",
            task_id=TaskId(uuid4().hex[:16]),
            attempt=Attempt(1),
            task_type=self.task_topic,
            reply_to=self.settings.topics.results,
            **changes,
        )
        record = OutgoingRecord(self.task_topic, orjson.dumps("soup"), None, headers.encode())
        await self.producer.send(record)

    async def send_poison(self) -> None:
        """Put what becomes a dead letter on the results topic."""
        await self.producer.send(OutgoingRecord(self.settings.topics.results, b"no token"))


@pytest.fixture
async def installation(guarded: Guarded) -> AsyncGenerator[Installation]:
    """Topics, and a producer that may do everything."""
    topics = Topics(prefix=f"w{uuid4().hex[:8]}.")
    guarded.topics.make([*topics.all(), task_topic := f"{topics.prefix}cook"])
    settings = Settings(
        guarded.hers, RestateSettings("http://127.0.0.1:9"), topics, KeySettings(Keyring({"k1": b"1" * 32}))
    )
    async with ConfluentProducer(guarded.ours) as producer:
        yield Installation(guarded, settings, task_topic, producer)


@asynccontextmanager
async def ends_with(run: asyncio.Task[None], withdrawn: str) -> AsyncGenerator[None]:
    """What runs ends soon with a sentence that names what was withdrawn."""
    yield
    with pytest.raises(AccessDeniedError, match=withdrawn) as caught:
        await asyncio.wait_for(run, PATIENCE_S)
    assert "let an administrator add the missing ACL" in str(caught.value)


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize("what", ["task topic", "control", "group"])
async def test_a_worker_ends_when_a_permission_to_read_is_withdrawn(
    installation: Installation, client: Client, what: str
) -> None:
    """To read its tasks or cancels, to be in its group."""
    guarded, topics, done = installation.guarded, installation.settings.topics, list[str]()
    group = f"{installation.task_topic}.group"
    for topic in (installation.task_topic, topics.control):
        guarded.allow(TOPIC, topic, READ)
    for topic in (topics.results, topics.dead_letters):
        guarded.allow(TOPIC, topic, WRITE)
    guarded.allow(GROUP, group, READ)
    options = WorkerOptions(drain_timeout=0.5, consumer=ConsumerOptions(session_timeout=6, drain_timeout=0.2))
    worker = Worker(group, settings=installation.settings, options=options, client=client)

    @worker.task(TaskType(installation.task_topic, request=str, result=str))
    async def cook(dish: str) -> str:
        done.append(dish)
        return dish

    run = asyncio.create_task(worker.run())
    await installation.send_task()
    await eventually("a task that is done", lambda: done or run.done(), timeout=PATIENCE_S)
    withdrawn = installation.withdraw(f"group {group}" if what == "group" else what)
    async with ends_with(run, withdrawn):
        await installation.send_task()


@pytest.mark.parametrize("client", list(Client))
async def test_a_bridge_ends_when_it_may_no_longer_read_progress(installation: Installation, client: Client) -> None:
    """Without progress no lost worker is noticed."""
    guarded, topics = installation.guarded, installation.settings.topics
    for topic in (topics.results, topics.progress):
        guarded.allow(TOPIC, topic, READ)
    guarded.allow(TOPIC, topics.dead_letters, WRITE)
    for group in (f"{topics.results}.bridge", f"{topics.results}.bridge.progress"):
        guarded.allow(GROUP, group, READ)
    bridge = Bridge(installation.settings, BridgeOptions(drain_timeout=0.5, client=client))
    run = asyncio.create_task(bridge.run())

    def reads_progress() -> bool:
        status = bridge.progress_status()
        return status is not None and bool(status.partitions)

    await eventually("progress to be read", lambda: reads_progress() or run.done(), timeout=PATIENCE_S)
    withdrawn = installation.withdraw("progress")
    async with ends_with(run, withdrawn):
        await installation.producer.send(OutgoingRecord(topics.progress, b"no heartbeat"))


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize("what", ["results", "group"])
async def test_a_bridge_ends_when_a_permission_to_read_is_withdrawn(
    installation: Installation, client: Client, what: str
) -> None:
    """To read results, to be in its group."""
    guarded, topics = installation.guarded, installation.settings.topics
    group = f"{topics.results}.bridge"
    guarded.allow(TOPIC, topics.results, READ)
    guarded.allow(TOPIC, topics.dead_letters, WRITE)
    guarded.allow(GROUP, group, READ)
    bridge = Bridge(installation.settings, BridgeOptions(progress=False, drain_timeout=0.5, client=client))
    run = asyncio.create_task(bridge.run())
    await installation.send_poison()
    await eventually("a dead letter", lambda: bridge.stats.settled or run.done(), timeout=PATIENCE_S)
    withdrawn = installation.withdraw(f"group {group}" if what == "group" else what)
    async with ends_with(run, withdrawn):
        await installation.send_poison()
