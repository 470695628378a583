"""Members that come and go while the partitions of the others are full and paused: nothing stays unread."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Self

import pytest
from tests.integration.kafka.labs import Lab

from kallback.kafka import Assignment, Consumer, ConsumerOptions, GroupProtocol, OutgoingRecord

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PARTITIONS = 6
RECORDS = 600
ROUNDS = 3
SLOW = ConsumerOptions(
    commit_interval=0.2, drain_timeout=0.3, session_timeout=6, buffer_records=10, unfinished_records=5
)
"""Ten records of a hundred fill a partition, so that each is paused nearly always."""
EAGER = dataclasses.replace(SLOW, assignment=Assignment.EAGER)
BY_THE_BROKER = dataclasses.replace(SLOW, group_protocol=GroupProtocol.CONSUMER)


class SlowReaders:
    """Members of one group that take a record now and then.

    Attributes:
        seen: the partition and offset of each record that was done.
    """

    def __init__(self, lab: Lab, topic: str, options: ConsumerOptions, *, named: bool) -> None:
        self.seen: set[tuple[int, int]] = set()
        self._lab, self._topic, self._group, self._options = lab, topic, lab.new_group(), options
        self._named = named
        self._reading: dict[Consumer, asyncio.Task[None]] = {}
        self.pause_s = 0.3

    async def _read(self, member: Consumer) -> None:
        while True:
            for record in await member.fetch(2, 0.5):
                self.seen.add((record.partition, record.offset))
                member.done(record)
            await asyncio.sleep(self.pause_s)

    async def member(self, name: str) -> Consumer:
        """Start one; it reads until the test ends or it is stopped."""
        instance_id = f"{self._group}-{name}" if self._named else None
        member = await self._lab.consumer(
            self._topic, self._group, dataclasses.replace(self._options, group_instance_id=instance_id)
        )
        self._reading[member] = asyncio.create_task(self._read(member))
        return member

    async def stop(self, member: Consumer) -> None:
        """Stop one."""
        self._reading.pop(member).cancel()
        await member.stop()

    async def shared_by(self, *members: Consumer) -> None:
        """Wait until these members have all partitions between them, each its share."""
        share = PARTITIONS // len(members)

        def is_shared() -> bool:
            owned = [each.assignment() for each in members]
            return all(len(each) == share for each in owned) and len(frozenset().union(*owned)) == PARTITIONS

        await self._lab.until(is_shared, f"{len(members)} members that share the partitions")

    async def __aenter__(self) -> Self:
        """Begin without a member."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the reading."""
        for each in self._reading.values():
            each.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)


@pytest.mark.parametrize(
    ("lab", "options", "named"),
    [
        pytest.param("confluent", SLOW, False, id="cooperative"),
        pytest.param("confluent", EAGER, False, id="eager"),
        pytest.param("confluent", SLOW, True, id="named"),
        pytest.param("confluent", BY_THE_BROKER, False, id="kip-848"),
        pytest.param("aiokafka", SLOW, False, id="aiokafka"),
        pytest.param("aiokafka", SLOW, True, id="aiokafka-named"),
    ],
    indirect=["lab"],
)
async def test_members_come_and_go_while_all_partitions_are_full(
    lab: Lab, options: ConsumerOptions, *, named: bool
) -> None:
    """A pause outlives no assignment, and no partition that stays or comes back is forgotten."""
    topic = lab.topic(PARTITIONS)
    producer = await lab.producer()
    values = (b"%d" % number for number in range(RECORDS))
    await asyncio.gather(*(producer.send(OutgoingRecord(topic, value, value)) for value in values))
    async with SlowReaders(lab, topic, options, named=named) as readers:
        first = await readers.member("first")
        for number in range(ROUNDS):
            await readers.shared_by(first)
            second = await readers.member("second")
            await readers.shared_by(first, second)
            if number % 2:
                third = await readers.member("third")
                await readers.shared_by(first, second, third)
                await readers.stop(third)
            await readers.stop(second)
        await readers.shared_by(first)
        assert len(readers.seen) < RECORDS, "partitions were full all the time"
        readers.pause_s = 0.0
        await lab.until(lambda: len(readers.seen) == RECORDS, "every record")
        assert not first.group_status().stalled
