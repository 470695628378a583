"""What happens to a partition that leaves a consumer and comes back, whichever client is behind it."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from tests.integration.kafka.labs import Lab, buffer_of

from kallback.kafka import OutgoingRecord, TopicPartition

pytestmark = pytest.mark.integration

RECORDS = 400


async def fill(lab: Lab, topic: str, count: int) -> None:
    """Send `count` numbered records, spread over the partitions."""
    producer = await lab.producer()
    sends = (producer.send(OutgoingRecord(topic, b"%d" % number, b"%d" % number)) for number in range(count))
    await asyncio.gather(*sends)


async def test_a_full_partition_that_leaves_and_comes_back_is_read(lab: Lab) -> None:
    """Held full, revoked, assigned again: a pause of the client does not outlive the assignment."""
    topic, group = lab.topic(partitions=2), lab.new_group()
    await fill(lab, topic, RECORDS)
    options = dataclasses.replace(lab.quiet, buffer_records=10, drain_timeout=0.5)
    first = await lab.consumer(topic, group, options)
    taken = await lab.receive(first, 1)  # and then nothing is taken: both partitions are full
    await lab.until(lambda: len(first.assignment()) == 2, "both partitions")
    await asyncio.sleep(0.5)  # the client pauses what stays full
    second = await lab.consumer(topic, group, options)
    fetching = asyncio.create_task(first.fetch(1, 20))  # aiokafka rejoins only while somebody fetches
    await lab.until(lambda: len(second.assignment()) == 1 == len(first.assignment()), "one partition each")
    await asyncio.sleep(0.5)
    await second.stop()
    taken += await fetching
    await lab.until(lambda: len(first.assignment()) == 2, "both partitions again")
    seen = {(record.partition, record.offset) for record in taken}
    async with asyncio.timeout(60):
        while len(seen) < RECORDS:
            for record in await first.fetch(100, 1):
                seen.add((record.partition, record.offset))
                first.done(record)
    assert not first.group_status().stalled


async def test_a_record_of_a_replaced_consumer_is_not_settled_at_its_successor(lab: Lab) -> None:
    """Both read the same record under their first assignment; only the successor's copy counts there."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a")
    first = await lab.consumer(topic, group)
    (old,) = await lab.receive(first, 1)
    await lab.crash(first)
    second = await lab.consumer(topic, group)
    (new,) = await lab.receive(second, 1)
    second.done(old)
    assert second.unfinished() == 1
    second.done(new)
    assert second.unfinished() == 0


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)  # the others read ahead only what a fetch asks for
async def test_all_partitions_together_stay_within_one_bound(lab: Lab) -> None:
    """Twelve partitions that fit each for itself are paused when they are too much together; all arrive in the end."""
    topic, size, bound = lab.topic(partitions=12), 20_000, 1_000_000
    producer = await lab.producer()
    value = b"x" * size
    await asyncio.gather(*(producer.send(OutgoingRecord(topic, value, b"%d" % number)) for number in range(300)))
    consumer = await lab.consumer(topic, options=dataclasses.replace(lab.quiet, buffer_bytes_total=bound))
    await lab.until(lambda: len(consumer.assignment()) == 12, "all partitions")
    buffer = buffer_of(consumer)
    await lab.until(lambda: buffer.bytes_free == 0, "the buffer to be full")
    await asyncio.sleep(1)
    records = buffer.take(300)
    assert len(records) * size < bound + 12 * size * 3
    records += await lab.receive(consumer, 300 - len(records))
    assert len({TopicPartition(record.topic, record.partition) for record in records}) == 12
