"""Topics that refuse writes while bridges and workers run: they hold back, are not ready, and go on by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import pytest
from confluent_kafka.admin import AclOperation, AlterConfigOpType, ConfigEntry, ConfigResource
from tests.integration.guarded_kafka import GROUP, TOPIC, Guarded, guarded_kafka
from tests.unit.bridge.factories import KEYRING, RecordFactory

from kallback.bridge import Accepted, Bridge, BridgeOptions, Completion, Dependencies, FunctionCompleter, Reply
from kallback.bridge.observability.probes import readiness
from kallback.kafka import ConfluentProducer, ConfluentReader, ConsumerOptions, OutgoingRecord
from kallback.kafka.dead_letters.reader import read_batches
from kallback.protocol import Attempt, TaskHeaders, TaskId, TaskType, completed_headers
from kallback.settings import KeySettings, Settings, Topics
from kallback.testing import eventually
from kallback.workers import Client, Worker, WorkerOptions
from kallback.workers.observability.health import readiness as worker_readiness

pytestmark = [pytest.mark.integration, pytest.mark.local_servers]

READ, WRITE = AclOperation.READ, AclOperation.WRITE
PATIENCE_S = 60.0
MEMBER = ConsumerOptions(session_timeout=6, drain_timeout=0.2)


@pytest.fixture(scope="module")
def guarded() -> Generator[Guarded]:
    """A broker on which alice may do nothing unless it is allowed."""
    with guarded_kafka() as server:
        yield server


@dataclass(frozen=True)
class Installation:
    """Topics of one test."""

    guarded: Guarded
    topics: Topics
    settings: Settings
    task_topic: str
    producer: ConfluentProducer

    async def send_task(self, dish: str, **changes: Any) -> None:
        """Put a task on its topic."""
        headers = TaskHeaders(
            token="kb1:x",
            task_id=TaskId(uuid4().hex[:16]),
            attempt=Attempt(1),
            task_type=self.task_topic,
            reply_to=self.topics.results,
            **changes,
        )
        await self.producer.send(OutgoingRecord(self.task_topic, orjson.dumps(dish), None, headers.encode()))

    async def send_poison(self, topic: str) -> None:
        """Put what becomes a dead letter on a topic."""
        await self.producer.send(OutgoingRecord(topic, b"no record of kallback"))

    async def send_good(self) -> None:
        """Put a good result on the results topic."""
        make = RecordFactory()
        headers = completed_headers(make.sign(audience=self.settings.keys.audience or self.topics.results))
        await self.producer.send(OutgoingRecord(self.topics.results, b"1", None, headers))

    async def count(self, topic: str) -> int:
        """How many records a topic has."""
        batches = read_batches(ConfluentReader(self.guarded.ours, topic))
        async with aclosing(batches):
            return sum([len(records) async for records in batches])

    def refuse(self, topic: str, cause: str) -> Callable[[], None]:
        """Let a topic refuse what alice writes; return what mends it."""
        admin = self.guarded.admin
        if cause == "withdrawn":
            self.guarded.forbid(TOPIC, topic)
        else:
            admin.delete_topics([topic], operation_timeout=20)[topic].result(20)

        def mend() -> None:
            if cause == "withdrawn":
                self.guarded.allow(TOPIC, topic, READ, WRITE)
            else:
                self.guarded.topics.make([topic])

        return mend

    def limit(self, topic: str, size: int) -> None:
        """Set the largest batch that a topic takes."""
        self.configure(topic, "max.message.bytes", str(size))

    def configure(self, topic: str, option: str, value: str) -> None:
        """Set an option of a topic."""
        entry = ConfigEntry(option, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        self.guarded.admin.incremental_alter_configs([resource])[resource].result(20)


@pytest.fixture
async def installation(guarded: Guarded) -> AsyncGenerator[Installation]:
    """Topics on which alice may do what bridges and workers do."""
    topics = Topics(prefix=f"w{uuid4().hex[:8]}.")
    guarded.topics.make([*topics.all(), task_topic := f"{topics.prefix}cook"])
    for topic in (topics.results, topics.control, topics.progress, task_topic):
        guarded.allow(TOPIC, topic, READ)
    for topic in (topics.results, topics.progress, topics.dead_letters, topics.outcomes):
        guarded.allow(TOPIC, topic, WRITE)
    for group in (f"{topics.results}.bridge", f"{topics.results}.bridge.progress", f"{task_topic}.group"):
        guarded.allow(GROUP, group, READ)
    settings = Settings(guarded.hers, topics=topics, keys=KeySettings(KEYRING))
    async with ConfluentProducer(guarded.ours) as producer:
        yield Installation(guarded, topics, settings, task_topic, producer)


def bridge_of(installation: Installation, client: Client, *, outcomes: bool = False) -> tuple[Bridge, list[Completion]]:
    """A bridge whose Restate is a function, and what was posted to it."""
    posted = list[Completion]()

    async def complete(completion: Completion) -> Reply:
        posted.append(completion)
        return Accepted()

    async def answers(*_: object) -> bool:
        return True

    return Bridge(
        installation.settings,
        BridgeOptions(progress=False, drain_timeout=0.5, client=client, outcomes=outcomes),
        dependencies=Dependencies(completer=lambda *_: FunctionCompleter(complete), check_restate=answers),
    ), posted


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize("cause", ["withdrawn", "deleted"])
async def test_a_bridge_goes_on_while_its_dead_letter_topic_refuses(
    installation: Installation, client: Client, cause: str
) -> None:
    """Good results are posted once; when the cause is gone, each dead letter is written once, without a restart."""
    topic = installation.topics.dead_letters
    bridge, posted = bridge_of(installation, client)
    async with bridge:
        await installation.send_poison(installation.topics.results)
        await eventually("a dead letter", lambda: bridge.stats.settled == 1, timeout=PATIENCE_S)
        repair = installation.refuse(topic, cause)
        for _ in range(5):
            await installation.send_poison(installation.topics.results)
            await installation.send_good()
        await eventually("good results", lambda: bridge.stats.settled == 6, timeout=PATIENCE_S)
        sentence = "needs WRITE on it" if cause == "withdrawn" else f"kallback topics create {topic}"
        await eventually("the sentence", lambda: sentence in str(readiness(bridge).reasons), timeout=2 * PATIENCE_S)
        assert topic in str(readiness(bridge).reasons)
        repair()
        await eventually("all to be settled", lambda: bridge.stats.settled == 11, timeout=2 * PATIENCE_S)
        assert readiness(bridge).ok
    assert (len(posted), bridge.failure) == (5, None)
    assert await installation.count(topic) == (6 if cause == "withdrawn" else 5)


@pytest.mark.parametrize("client", list(Client))
async def test_a_bridge_goes_on_while_its_outcomes_topic_refuses(installation: Installation, client: Client) -> None:
    """Results are posted once, and are done when their outcomes are written."""
    topic = installation.topics.outcomes
    bridge, posted = bridge_of(installation, client, outcomes=True)
    async with bridge:
        await installation.send_good()
        await eventually("an outcome", lambda: bridge.stats.settled == 1, timeout=PATIENCE_S)
        repair = installation.refuse(topic, "withdrawn")
        for _ in range(5):
            await installation.send_good()
        await eventually("the sentence", lambda: topic in str(readiness(bridge).reasons), timeout=PATIENCE_S)
        repair()
        await eventually("all to be settled", lambda: bridge.stats.settled == 6, timeout=PATIENCE_S)
    assert (len(posted), await installation.count(topic)) == (6, 6)


@pytest.mark.parametrize("client", list(Client))
async def test_a_dead_letter_topic_that_takes_only_tiny_records_does_not_end_a_bridge(
    installation: Installation, client: Client
) -> None:
    """Good results go on; when `max.message.bytes` is raised, the dead letter is written."""
    topic = installation.topics.dead_letters
    installation.limit(topic, 100)
    bridge, posted = bridge_of(installation, client)
    async with bridge:
        await installation.send_poison(installation.topics.results)
        await eventually("a refusal", lambda: bridge.stats.write_retries, timeout=PATIENCE_S)
        await installation.send_good()
        await eventually("a good result", lambda: bridge.stats.settled == 1, timeout=PATIENCE_S)
        assert "takes not even small records" in str(readiness(bridge).reasons)
        installation.limit(topic, 1_000_000)
        await eventually("the dead letter", lambda: bridge.stats.settled == 2, timeout=PATIENCE_S)
    assert (len(posted), await installation.count(topic)) == (1, 1)


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize(
    ("option", "wrong", "right"),
    [("cleanup.policy", "compact", "delete"), ("message.timestamp.before.max.ms", "1", "9223372036854775807")],
)
async def test_a_bridge_goes_on_while_the_options_of_its_dead_letter_topic_allow_no_dead_letter(
    installation: Installation, client: Client, option: str, wrong: str, right: str
) -> None:
    """Good results are completed, readiness names the options, and the dead letter is written when they are mended."""
    topic = installation.topics.dead_letters
    installation.configure(topic, option, wrong)
    bridge, posted = bridge_of(installation, client)
    async with bridge:
        await installation.send_poison(installation.topics.results)
        await eventually("the sentence", lambda: option[:17] in str(readiness(bridge).reasons), timeout=PATIENCE_S)
        await installation.send_good()
        await eventually("a good result", lambda: bridge.stats.settled == 1, timeout=PATIENCE_S)
        installation.configure(topic, option, right)
        await eventually("the dead letter", lambda: bridge.stats.settled == 2, timeout=PATIENCE_S)
    assert (len(posted), await installation.count(topic)) == (1, 1)


@pytest.mark.parametrize("client", list(Client))
async def test_a_small_result_waits_until_its_topic_takes_it(installation: Installation, client: Client) -> None:
    """It is no dead letter, its task is done once, and readiness names the topic meanwhile."""
    topic, done = installation.topics.results, list[str]()
    installation.limit(topic, 100)
    options = WorkerOptions(drain_timeout=0.5, retry_delay_limit=1.0, consumer=MEMBER)
    worker = Worker(f"{installation.task_topic}.group", settings=installation.settings, options=options, client=client)

    @worker.task(TaskType(installation.task_topic, request=str, result=str))
    async def cook(dish: str) -> str:
        done.append(dish)
        return dish

    async with worker:
        await installation.send_task("soup")
        await eventually("the sentence", lambda: topic in str(worker_readiness(worker).reasons), timeout=PATIENCE_S)
        installation.limit(topic, 1_000_000)
        await eventually("the result", lambda: worker.counts.completed == 1, timeout=PATIENCE_S)
    assert (done, worker.counts.dead_lettered) == (["soup"], 0)


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize("what", ["results", "dead_letters", "progress"])
@pytest.mark.parametrize("cause", ["withdrawn", "deleted"])
async def test_a_worker_goes_on_when_a_topic_takes_its_records_again(
    installation: Installation, client: Client, what: str, cause: str
) -> None:
    """It says meanwhile what is missing; each result is written once, and no task is done twice."""
    topic, done, release = getattr(installation.topics, what), list[str](), asyncio.Event()
    options = WorkerOptions(drain_timeout=0.5, retry_delay_limit=1.0, consumer=MEMBER)
    worker = Worker(f"{installation.task_topic}.group", settings=installation.settings, options=options, client=client)

    @worker.task(TaskType(installation.task_topic, request=str, result=str))
    async def cook(dish: str) -> str:
        done.append(dish)
        if dish == "stew":
            await release.wait()
        return dish

    async with worker:
        await installation.send_task("soup")
        await installation.send_poison(installation.task_topic)
        await eventually("a task", lambda: worker.counts.completed and worker.counts.dead_lettered, timeout=PATIENCE_S)
        repair = installation.refuse(topic, cause)
        await installation.send_task("stew", progress_to=installation.topics.progress, heartbeat_every_ms=1000)
        await installation.send_task("rice")
        await installation.send_poison(installation.task_topic)
        sentence = "needs WRITE on it" if cause == "withdrawn" else f"kallback topics create {topic}"
        await eventually("the sentence", lambda: sentence in str(worker_readiness(worker).reasons), timeout=120)
        repair()
        await eventually("readiness", lambda: worker_readiness(worker).ok, timeout=2 * PATIENCE_S)
        release.set()
        await eventually("all tasks", lambda: worker.counts.completed == 3, timeout=2 * PATIENCE_S)
        await eventually("all dead letters", lambda: worker.counts.dead_lettered == 2, timeout=2 * PATIENCE_S)
    assert sorted(done) == ["rice", "soup", "stew"]
    if cause == "withdrawn":
        assert await installation.count(installation.topics.results) == 3
        assert await installation.count(installation.topics.dead_letters) == 2
