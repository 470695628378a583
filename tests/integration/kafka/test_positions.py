"""Where a member on librdkafka stands in partitions that give it nothing: exactly at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.kafka.labs import transaction

from kallback.kafka import ConfluentEndOffsets

if TYPE_CHECKING:
    from tests.integration.kafka.labs import RealLab

    from kallback.kafka import Consumer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("lab", ["confluent"], indirect=True),
]


def positions(consumer: Consumer) -> list[int | None]:
    """Where the member stands, partition by partition."""
    return [each.position for _, each in sorted(consumer.group_status().partitions.items())]


async def stands_at_the_end(lab: RealLab, consumer: Consumer, topic: str) -> list[int]:
    """Wait until the member stands where Kafka says that the topic ends, and return that."""
    asked = ConfluentEndOffsets(lab.settings)
    ends = [end for _, end in sorted((await asked.of([topic])).items())]
    await lab.until(lambda: positions(consumer) == ends, f"the positions {ends}")
    return ends


async def test_an_empty_partition(lab: RealLab) -> None:
    """Never written to, never committed: it stands at nought, and so do its neighbours."""
    topic = lab.topic(partitions=3)
    assert await stands_at_the_end(lab, await lab.consumer(topic), topic) == [0, 0, 0]


async def test_a_partition_that_an_earlier_owner_has_read(lab: RealLab) -> None:
    """Its successor knows without a single record."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abc")
    first = await lab.consumer(topic, group)
    for record in await lab.receive(first, 3):
        first.done(record)
    await first.stop()
    assert await stands_at_the_end(lab, await lab.consumer(topic, group), topic) == [3]


@pytest.mark.parametrize("abort", [False, True])
async def test_markers_of_transactions_behind_the_last_record(lab: RealLab, *, abort: bool) -> None:
    """The end lies behind the marker, and behind records of a transaction that was aborted; so does the commit."""
    topic, group = lab.topic(), lab.new_group()
    consumer = await lab.consumer(topic, group)
    await lab.send(topic, "plain")
    with transaction(lab.settings, topic, "a", "b", abort=abort):
        pass
    for record in await lab.receive(consumer, 1 if abort else 3):
        consumer.done(record)
    await lab.until(lambda: positions(consumer) == [4], "the position behind the marker")
    assert await stands_at_the_end(lab, consumer, topic) == [4]
    await consumer.commit()
    assert await lab.committed(group, topic) == {0: 4}
    await consumer.stop()
    assert await stands_at_the_end(lab, await lab.consumer(topic, group), topic) == [4]


async def test_what_nobody_has_fetched_is_not_passed(lab: RealLab) -> None:
    """Records that the client holds back, and an unfinished one, keep the position where it is."""
    topic = lab.topic()
    await lab.send(topic, *"abc")
    consumer = await lab.consumer(topic)
    await lab.until(
        lambda: [(each.position, each.end) for each in consumer.group_status().partitions.values()] == [(0, 3)],
        "position and end to be known",
    )
    (record,) = await lab.receive(consumer, 1)
    assert positions(consumer) == [0]
    consumer.done(record)
    assert positions(consumer) == [1]
    for record in await lab.receive(consumer, 2):
        consumer.done(record)
    assert await stands_at_the_end(lab, consumer, topic) == [3]
