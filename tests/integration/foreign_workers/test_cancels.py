"""The workers for long tasks stop what was cancelled, also while they work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from tests.integration.foreign_workers.conftest import build

from kallback.kafka import ConfluentProducer, ConfluentReader, OutgoingRecord, Record
from kallback.protocol import Attempt, Cancel, CancelReason, Signal, TaskHeaders, TaskId, read_progress, read_result
from kallback.protocol.cancel_secrets import hash_of
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory

pytestmark = pytest.mark.integration

_TIMEOUT_S: Final = 60.0
LONG_S: Final = 600
MORE: Final = 4
"""Heartbeats of work that goes on, after which a task that was delivered again would have begun."""
SECRET: Final = "s" * 43
"""Of a second attempt; that of the first is its hash."""


async def read_until(kafka: KafkaServer, topic: str, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """The records of a topic, once they are enough."""
    found: list[Record] = []
    deadline = time.monotonic() + _TIMEOUT_S
    async with ConfluentReader(KafkaSettings(kafka.bootstrap_servers), topic) as reader:
        while not enough(found) and time.monotonic() < deadline:
            found += await reader.fetch(1.0)
    assert enough(found), f"{topic}: {found}"
    return found


def has_details(found: list[Record]) -> bool:
    """Whether a heartbeat says how far the work is."""
    reports = [read_progress(record.value, record.headers).report() for record in found]
    assert [report.signal for report in reports[:1]] in ([], [Signal.STARTED])
    told = [json.loads(report.details) for report in reports if report.signal is Signal.HEARTBEAT and report.details]
    return any(details["of"] == LONG_S for details in told)


class Caller:
    """Sends tasks and cancels to the topics of one worker."""

    def __init__(self, producer: ConfluentProducer, tasks: str, results: str) -> None:
        self.producer, self.tasks, self.results = producer, tasks, results

    async def ask(self, task_id: str, attempt: int, request: bytes, key: bytes = b"k") -> None:
        """Send an attempt of a task."""
        cancel_hash = hash_of(SECRET) if attempt > 1 else hash_of(hash_of(SECRET))
        headers = TaskHeaders(
            *(f"kb1:{task_id}-{attempt}", TaskId(task_id), Attempt(attempt), "restaurant.prepare", self.results),
            progress_to=f"{self.tasks}.progress",
            heartbeat_every_ms=500,
            cancel_hash=cancel_hash,
        )
        await self.producer.send(OutgoingRecord(self.tasks, request, key, headers.encode()))

    async def cancel(self, task_id: str, attempt: int | None, secret: str) -> None:
        """Cancel a task, or its attempts up to this one."""
        upto = None if attempt is None else Attempt(attempt)
        cancel = Cancel(TaskId(task_id), CancelReason.CANCELLED, 1, upto, secret)
        await self.producer.send(OutgoingRecord(f"{self.tasks}.control", cancel.encode(), task_id.encode()))


LANGUAGES: Final = ("python-cancels", "java-cancels", "node-cancels")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_worker_for_long_tasks_stops_what_is_cancelled(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """A cancel of before its start covers the first attempt alone, and one that comes later ends long work."""
    worker = build(language)
    tasks, results = topics_factory("prepare"), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        await caller.cancel("short", 1, SECRET)
        await caller.ask("short", 1, b'{"id": "o-1"}')
        await caller.ask("short", 2, b'{"id": "o-1"}')
        await caller.ask("long", 1, b'{"id": "o-2", "seconds": %d}' % LONG_S)
        with worker.running(kafka_server, tasks, results, tmp_path / "worker.log"):
            of_long = f"{tasks}.progress"
            await read_until(kafka_server, of_long, lambda found: has_details(of_task(found, "long")))
            await caller.cancel("long", None, SECRET)
            await caller.ask("next", 1, b'{"id": "o-3"}')
            found = await read_until(kafka_server, results, lambda found: len(found) == 2)
    tokens = [read_result(record.value, record.headers).token for record in found]
    assert tokens == ["kb1:short-2", "kb1:next-1"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_process_that_joins_during_long_work_loses_no_task(
    language: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """A second process joins while the first one works; when that task is cancelled, all others are done."""
    worker = build(language)
    tasks, results = topics_factory("prepare", partitions=4), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    shorts = [f"t-{number}" for number in range(12)]
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        with worker.running(kafka_server, tasks, results, tmp_path / "first.log"):
            await caller.ask("long", 1, b'{"id": "o-1", "seconds": 600}')
            await read_until(kafka_server, f"{tasks}.progress", lambda found: starts(found) == 1)
            for task_id in shorts:
                await caller.ask(task_id, 1, b'{"id": "o-2"}', task_id.encode())
            with worker.running(kafka_server, tasks, results, tmp_path / "second.log"):
                await read_until(kafka_server, f"{tasks}.progress", lambda found: starts(found) > 1)
                await caller.cancel("long", None, SECRET)
                await read_until(
                    kafka_server, results, lambda found: tokens_of(found) == {f"kb1:{each}-1" for each in shorts}
                )


async def until(done: Callable[[], bool]) -> None:
    """Wait for something that no topic says."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not await asyncio.to_thread(done):
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.1)


def partitions_of_members(kafka: KafkaServer, group: str) -> list[int]:
    """How many partitions each member of a group has."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    members = admin.describe_consumer_groups([group])[group].result(10).members
    return [len(each.assignment.topic_partitions) for each in members]


@contextmanager
def first_member(kafka: KafkaServer, topic: str) -> Generator[None]:
    """Join the group of a worker of this topic, and get its only partition: the range assignor goes by member id."""
    own = {"group.id": topic, "client.id": "a-first-one", "partition.assignment.strategy": "range"}
    reading = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 0}
    member = Consumer({"bootstrap.servers": kafka.bootstrap_servers, **own, **reading})
    try:
        member.subscribe([topic])
        record = member.poll(_TIMEOUT_S)
        assert record is not None, "nothing came"
        assert record.error() is None, record.error()
        yield
    finally:
        member.close()


@pytest.mark.parametrize("ends", ["while-it-is-away", "when-it-is-back"])
@pytest.mark.parametrize("language", ["python-cancels", "java-cancels"])
async def test_long_work_goes_on_while_its_partition_is_away(
    language: str, ends: str, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """The task is delivered again when the partition comes back, and not begun anew; kafkajs has another assignor."""
    worker = build(language)
    tasks, results = topics_factory("prepare"), topics_factory("results")
    progress = f"{tasks}.progress"
    topics_factory.make([f"{tasks}.control", progress])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        caller = Caller(producer, tasks, results)
        with worker.running(kafka_server, tasks, results, tmp_path / "worker.log") as process:
            await caller.ask("long", 1, b'{"id": "o-1", "seconds": %d}' % LONG_S)
            await read_until(kafka_server, progress, lambda found: starts(found) == 1)
            with first_member(kafka_server, tasks):
                if ends == "while-it-is-away":
                    await caller.cancel("long", None, SECRET)
                    await until(lambda: "cancelled: " in process.log_tail())
            await until(lambda: partitions_of_members(kafka_server, tasks) == [1])
            if ends == "when-it-is-back":
                back_ms = time.time() * 1000
                await read_until(kafka_server, progress, lambda found: len(told_since(back_ms, found)) > MORE)
                await caller.cancel("long", None, SECRET)
            await caller.ask("next", 1, b'{"id": "o-2"}')
            await read_until(kafka_server, results, lambda found: tokens_of(found) == {"kb1:next-1"})
            assert process.running, process.log_tail()
            told = await read_until(kafka_server, progress, lambda found: bool(of_task(found, "next")))
    assert starts(of_task(told, "long")) == 1


def told_since(since_ms: float, found: list[Record]) -> list[Record]:
    """The progress of a time and later."""
    return [each for each in found if read_progress(each.value, each.headers).report().at_ms >= since_ms]


def starts(found: list[Record]) -> int:
    """How often a task was begun."""
    return sum(read_progress(each.value, each.headers).report().signal is Signal.STARTED for each in found)


def tokens_of(found: list[Record]) -> set[str | None]:
    """The tasks that have results."""
    return {read_result(record.value, record.headers).token for record in found}


def of_task(found: list[Record], task_id: str) -> list[Record]:
    """The records of one task."""
    return [record for record in found if record.key == task_id.encode()]
