"""Callers of the workers for long tasks, and what their topics say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from kallback.kafka import ConfluentProducer, ConfluentReader, OutgoingRecord, Placement, Record
from kallback.protocol import Attempt, Cancel, CancelReason, Signal, TaskHeaders, TaskId, read_progress, read_result
from kallback.protocol.cancel_secrets import hash_of
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer

TIMEOUT_S: Final = 60.0
LONG_S: Final = 600
SECRET: Final = "s" * 43
"""Of a second attempt; that of the first is its hash."""
LANGUAGES: Final = ("python-cancels", "java-cancels", "node-cancels")


async def read_until(kafka: KafkaServer, topic: str, enough: Callable[[list[Record]], bool]) -> list[Record]:
    """The records of a topic, once they are enough."""
    found: list[Record] = []
    deadline = time.monotonic() + TIMEOUT_S
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

    async def ask(
        self,
        task_id: str,
        attempt: int,
        request: bytes,
        key: bytes = b"k",
        *,
        partition: int | None = None,
        **more: Any,
    ) -> None:
        """Send an attempt of a task; `more` are members of its headers. `partition` is one of a topic with two."""
        cancel_hash = hash_of(SECRET) if attempt > 1 else hash_of(hash_of(SECRET))
        headers = TaskHeaders(
            *(f"kb1:{task_id}-{attempt}", TaskId(task_id), Attempt(attempt), "restaurant.prepare", self.results),
            progress_to=f"{self.tasks}.progress",
            heartbeat_every_ms=500,
            cancel_hash=cancel_hash,
            **more,
        )
        placement = None if partition is None else Placement(partition)
        await self.producer.send(OutgoingRecord(self.tasks, request, key, headers.encode(), placement))

    async def cancel(self, task_id: str, attempt: int | None, secret: str) -> None:
        """Cancel a task, or its attempts up to this one."""
        upto = None if attempt is None else Attempt(attempt)
        cancel = Cancel(TaskId(task_id), CancelReason.CANCELLED, 1, upto, secret)
        await self.producer.send(OutgoingRecord(f"{self.tasks}.control", cancel.encode(), task_id.encode()))


async def until(done: Callable[[], bool]) -> None:
    """Wait for something that no topic says."""
    deadline = time.monotonic() + TIMEOUT_S
    while not await asyncio.to_thread(done):
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.1)


def partitions_of_members(kafka: KafkaServer, group: str) -> list[int]:
    """How many partitions each member of a group has."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    members = admin.describe_consumer_groups([group])[group].result(10).members
    return [len(each.assignment.topic_partitions) for each in members]


@contextmanager
def first_member(kafka: KafkaServer, topic: str) -> Generator[bytes | None]:
    """Join the group of a worker of this topic, and get its only partition: the range assignor goes by member id.

    Yields the key of the first record that it is given.
    """
    own = {"group.id": topic, "client.id": "a-first-one", "partition.assignment.strategy": "range"}
    reading = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 0}
    member = Consumer({"bootstrap.servers": kafka.bootstrap_servers, **own, **reading})
    try:
        member.subscribe([topic])
        record = member.poll(TIMEOUT_S)
        assert record is not None, "nothing came"
        assert record.error() is None, record.error()
        yield record.key()
    finally:
        member.close()


def starts(found: list[Record]) -> int:
    """How often a task was begun."""
    return sum(read_progress(each.value, each.headers).report().signal is Signal.STARTED for each in found)


def tokens_of(found: list[Record]) -> set[str | None]:
    """The tasks that have results."""
    return {read_result(record.value, record.headers).token for record in found}


def of_task(found: list[Record], task_id: str) -> list[Record]:
    """The records of one task."""
    return [record for record in found if record.key == task_id.encode()]
