"""A member that ends in the middle of a rebalance: it ends, and its group does not wait for it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from tests.integration.kafka.labs import RealLab

from kallback.kafka import Assignment, ConsumerOptions

if TYPE_CHECKING:
    from kallback.kafka import Consumer, Record

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)]

PATIENT = ConsumerOptions(commit_interval=1000, assignment=Assignment.EAGER, session_timeout=300, drain_timeout=280)
"""A member that disappears without leaving is missed after five minutes; the tests wait one."""


async def until_members(lab: RealLab, group: str, count: int) -> None:
    """Wait until Kafka knows so many members, whether they have joined or not."""
    admin = AdminClient({"bootstrap.servers": lab.settings.bootstrap_servers, "log_level": 0})
    deadline = time.monotonic() + 60
    while True:
        described = await asyncio.to_thread(admin.describe_consumer_groups([group])[group].result)
        if len(described.members) == count:
            return
        assert time.monotonic() < deadline, f"waited 60 s for {count} members, there are {len(described.members)}"
        await asyncio.sleep(0.1)


class Draining:
    """A member with all partitions and one unfinished record: a rebalance waits for it."""

    def __init__(self, lab: RealLab, topic: str, group: str) -> None:
        self._lab, self._topic, self._revoked = lab, topic, threading.Event()
        self.member: Consumer = lab.new_consumer(topic, group, PATIENT)
        self.member.on_revoke(lambda _partitions: self._revoked.set())

    async def start(self) -> Record:
        """Return the record."""
        await self._lab.start(self.member)
        await self._lab.send(self._topic, "a")
        (record,) = await self._lab.receive(self.member, 1)
        return record

    async def until_it_drains(self) -> None:
        """Wait until a rebalance waits for it."""
        assert await asyncio.to_thread(self._revoked.wait, 60), "waited 60 s for a rebalance"


async def test_a_member_that_ends_while_it_joins_leaves_the_group(lab: RealLab) -> None:
    """Its request to join is answered only when the others have drained; they read on without it."""
    topic, group = lab.topic(partitions=2), lab.new_group()
    older = Draining(lab, topic, group)
    record = await older.start()
    reading = asyncio.create_task(lab.receive(older.member, 1))
    younger = lab.new_consumer(topic, group, PATIENT)
    await younger.start()
    waiting = asyncio.create_task(younger.fetch(1, 600))
    await until_members(lab, group, 2)
    await older.until_it_drains()
    async with asyncio.timeout(12):
        await younger.stop()
    waiting.cancel()
    older.member.done(record)
    await lab.send(topic, "b", key=None)
    assert lab.values(await reading) == ["b"]


async def test_a_member_that_ends_while_it_drains_leaves_the_group(lab: RealLab) -> None:
    """What it has not finished goes to the others at once."""
    topic, group = lab.topic(partitions=2), lab.new_group()
    older = Draining(lab, topic, group)
    await older.start()
    keeping = asyncio.create_task(older.member.fetch(1, 600))
    younger = await lab.consumer(topic, group, PATIENT)
    reading = asyncio.create_task(lab.receive(younger, 1))
    await older.until_it_drains()
    keeping.cancel()
    async with asyncio.timeout(12):
        await older.member.stop()
    assert lab.values(await reading) == ["a"]
