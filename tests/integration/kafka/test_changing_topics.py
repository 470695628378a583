"""Topics that change while they are read: created anew, grown, cut off.

Every client notices within 30 s. Here it looks every two seconds instead of every ten.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING

import pytest
from tests.integration.kafka.labs import QUIET, RealLab

from kallback.kafka import UNKNOWN_LAG, ConfluentConsumer, GroupStatus, TopicPartition
from kallback.kafka.aiokafka import reader as aiokafka_reader
from kallback.kafka.aiokafka import topic_watch as aiokafka_watch
from kallback.kafka.aiokafka.membership import group_member as aiokafka_member
from kallback.kafka.confluent import topic_watch as confluent_watch
from kallback.kafka.confluent.membership import group_member as confluent_member

if TYPE_CHECKING:
    from kallback.kafka import Consumer, TopicReader

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)]

NOTICED_S = 60.0
ANEW = "created anew"
GONE = "does not exist any more"
BACK = "exists again"
DELETED = "deleted records before they were read"
SMALL = dataclasses.replace(QUIET, buffer_records=5, buffer_bytes_total=64 * 1024, unfinished_records=5)
"""The client stops fetching soon: its position is far behind the end."""


@pytest.fixture(autouse=True)
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for topics and metadata every two seconds."""
    for module in (confluent_watch, aiokafka_watch, aiokafka_reader):
        monkeypatch.setattr(module, "TOPIC_LOOK_INTERVAL_S", 2.0)
    for module in (confluent_member, aiokafka_member, aiokafka_reader):
        monkeypatch.setattr(module, "TOPICS_REFRESH_MS", 2_000)


async def new_values(client: Consumer | TopicReader, lab: RealLab, wanted: int) -> list[str]:
    """Fetch until `wanted` different values of the new topic have come; they begin with "new"."""
    found: dict[str, None] = {}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + NOTICED_S
    while len(found) < wanted:
        assert loop.time() < deadline, f"waited {NOTICED_S} s for {wanted} values, got {list(found)}"
        records = await lab.fetch(client)
        found.update(dict.fromkeys(each for each in lab.values(records) if each.startswith("new")))
    return list(found)


async def owns_all_of(topic: str, partitions: int, consumer: Consumer, lab: RealLab) -> None:
    """Fetch until the member owns exactly these partitions, and its lag is known."""
    all_of_them = {TopicPartition(topic, number) for number in range(partitions)}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + NOTICED_S
    while not is_well(status := consumer.group_status(), all_of_them):
        assert loop.time() < deadline, f"waited {NOTICED_S} s for {partitions} partitions, got {status}"
        await lab.fetch(consumer)


def lines(caplog: pytest.LogCaptureFixture, text: str) -> int:
    """The number of log lines that contain a text."""
    return sum(text in each.getMessage() for each in caplog.records)


def is_well(status: GroupStatus, partitions: set[TopicPartition]) -> bool:
    """Whether a member owns these partitions, knows its lag, and has nothing to complain of."""
    return status.partitions.keys() == partitions and status.lag is not UNKNOWN_LAG and status.stall_reason() is None


def has_stopped_fetching(consumer: Consumer) -> bool:
    """Whether the partition is paused; aiokafka fetches 1 MiB ahead and no more."""
    if not isinstance(consumer, ConfluentConsumer):
        return True
    assert consumer._thread is not None
    return bool(consumer._thread._reading._flow.paused)


async def test_a_topic_created_anew_is_read_from_its_beginning(lab: RealLab, caplog: pytest.LogCaptureFixture) -> None:
    """No record is skipped, though the new topic is longer than the old position; one log line says it."""
    topic = lab.topic()
    await lab.send(topic, *map(str, range(30)))
    consumer = await lab.consumer(topic, options=SMALL)
    old = await lab.receive(consumer, 5)
    with caplog.at_level(logging.WARNING):
        await lab.recreate(topic)
        await lab.send(topic, *(f"new{number}" for number in range(60)))
        for record in old:
            consumer.done(record)
        assert sorted(await new_values(consumer, lab, 60)) == sorted(f"new{number}" for number in range(60))
    assert sum(ANEW in each.getMessage() for each in caplog.records) == 1


async def test_an_idle_consumer_hears_a_topic_that_is_created_anew_and_shorter(lab: RealLab) -> None:
    """The old position lies beyond the new end."""
    topic = lab.topic()
    await lab.send(topic, *map(str, range(30)))
    consumer = await lab.consumer(topic)
    for record in await lab.receive(consumer, 30):
        consumer.done(record)
    await lab.recreate(topic)
    await lab.send(topic, "new0")
    assert await new_values(consumer, lab, 1) == ["new0"]


async def test_positions_of_the_old_topic_do_not_survive_a_restart(lab: RealLab) -> None:
    """What is committed after the change is the new topic's position, though it is lower."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *map(str, range(100)))
    consumer = await lab.consumer(topic, group)
    for record in await lab.receive(consumer, 100):
        consumer.done(record)
    await lab.recreate(topic)
    await consumer.commit()
    await lab.send(topic, *(f"new{number}" for number in range(60)))
    await new_values(consumer, lab, 60)
    await consumer.commit()
    assert await lab.committed(group, topic) == {0: 60}
    await lab.crash(consumer)
    await lab.send(topic, "newest")
    assert lab.values(await lab.receive(await lab.consumer(topic, group), 1)) == ["newest"]


async def test_a_topic_that_is_missing_for_a_while_is_read_once_it_exists(
    lab: RealLab, caplog: pytest.LogCaptureFixture
) -> None:
    """The consumer does not end: its status names the topic, one log line does, and it goes on."""
    topic = lab.topic(partitions=2)
    consumer = await lab.consumer(topic)
    await lab.send(topic, "old")
    await lab.receive(consumer, 1)
    await lab.delete(topic)
    fetching = asyncio.create_task(new_values(consumer, lab, 1))
    await lab.until(lambda: consumer.group_status().missing_topics == {topic}, "a status that names the topic")
    assert topic in (consumer.group_status().stall_reason() or "")
    await lab.create(topic, partitions=2)
    await lab.send(topic, "new0")
    assert await fetching == ["new0"]
    await lab.until(lambda: not consumer.group_status().missing_topics, "a status that names no topic")
    assert sum("does not exist any more" in each.getMessage() for each in caplog.records) == 1


@pytest.mark.parametrize(("before", "after"), [(12, 2), (2, 4)])
async def test_a_topic_created_anew_with_another_number_of_partitions_is_read(
    lab: RealLab, caplog: pytest.LogCaptureFixture, before: int, after: int
) -> None:
    """From its beginning, though the group assigns anew before anybody has looked at the topic; one log line says it.

    The member owns what there is now and nothing else, and its lag is known.
    """
    topic = lab.topic(partitions=before)
    consumer = await lab.consumer(topic)
    for number in range(before):
        await lab.send_to(topic, number, f"old{number}")
    for record in await lab.receive(consumer, before):
        consumer.done(record)
    with caplog.at_level(logging.WARNING):
        await lab.recreate(topic, partitions=after)
        for number in range(6):
            await lab.send_to(topic, number % 2, f"new{number}")
        assert sorted(await new_values(consumer, lab, 6)) == [f"new{number}" for number in range(6)]
        await owns_all_of(topic, after, consumer, lab)
    assert [lines(caplog, ANEW), lines(caplog, BACK)] == [1, 0]
    assert lines(caplog, GONE) <= 1  # a look may meet the moment without the topic


async def test_a_topic_that_is_missing_for_a_while_may_come_back_with_fewer_partitions(
    lab: RealLab, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says once that it is gone and once that it was created anew."""
    topic = lab.topic(partitions=12)
    consumer = await lab.consumer(topic)
    await lab.send_to(topic, 11, "old")
    await lab.receive(consumer, 1)
    with caplog.at_level(logging.WARNING):
        await lab.delete(topic)
        fetching = asyncio.create_task(new_values(consumer, lab, 1))
        await lab.until(lambda: consumer.group_status().missing_topics == {topic}, "a status that names the topic")
        await lab.create(topic, partitions=2)
        await lab.send_to(topic, 1, "new0")
        assert await fetching == ["new0"]
        await owns_all_of(topic, 2, consumer, lab)
    assert [lines(caplog, GONE), lines(caplog, ANEW), lines(caplog, BACK)] == [1, 1, 0]


async def test_added_partitions_are_read(lab: RealLab) -> None:
    """Twice: 2 to 4 to 6."""
    topic = lab.topic(partitions=2)
    consumer = await lab.consumer(topic)
    await lab.until(lambda: len(consumer.assignment()) == 2, "an assignment") if lab.kind == "confluent" else None
    for partitions in (4, 6):
        await lab.grow(topic, partitions)
        await lab.send_to(topic, partitions - 1, f"new{partitions}")
        assert await new_values(consumer, lab, 1) == [f"new{partitions}"]


async def test_records_that_are_deleted_unread_are_named(lab: RealLab, caplog: pytest.LogCaptureFixture) -> None:
    """Reading goes on behind them, and one log line names their offsets."""
    topic = lab.topic()
    for number in range(40):
        await lab.send(topic, f"{number}".ljust(100_000))  # more than a client fetches ahead
    consumer = await lab.consumer(topic, options=SMALL)
    old = await lab.receive(consumer, 5)
    await lab.until(lambda: has_stopped_fetching(consumer), "a client that fetches nothing more")
    await lab.delete_records(topic, 38)
    await lab.send(topic, "new0")
    for record in old:
        consumer.done(record)
    assert await new_values(consumer, lab, 1) == ["new0"]
    await lab.until(lambda: DELETED in caplog.text, "a line in the log")
    assert [
        each.getMessage() for each in caplog.records if DELETED in each.getMessage() and "to 37" in each.getMessage()
    ]


async def test_records_that_are_deleted_before_a_start_are_named(
    lab: RealLab, caplog: pytest.LogCaptureFixture
) -> None:
    """The group has committed 5, the log begins at 20."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *map(str, range(30)))
    first = await lab.consumer(topic, group, SMALL)
    for record in await lab.receive(first, 5):
        first.done(record)
    await first.stop()
    await lab.delete_records(topic, 20)
    second = await lab.consumer(topic, group)
    assert lab.values(await lab.receive(second, 10)) == [str(number) for number in range(20, 30)]
    await lab.until(lambda: "offsets='5 to 19'" in caplog.text, "a line in the log")


async def test_a_reader_hears_a_topic_that_is_created_anew(lab: RealLab) -> None:
    """It reads the new topic from its beginning, as if it had started now."""
    topic = lab.topic()
    await lab.send(topic, "a", "b", "c")
    reader = await lab.reader(topic)
    while not reader.caught_up.is_set():
        await reader.fetch(1)
    await lab.recreate(topic)
    await lab.send(topic, *(f"new{number}" for number in range(10)))
    assert sorted(await new_values(reader, lab, 10)) == [f"new{number}" for number in range(10)]


async def test_a_reader_hears_a_topic_that_is_created_anew_with_fewer_partitions(
    lab: RealLab, caplog: pytest.LogCaptureFixture
) -> None:
    """It reads what there is, and says so once."""
    topic = lab.topic(partitions=12)
    reader = await lab.reader(topic)
    await lab.send_to(topic, 11, "old")
    while not lab.values(await reader.fetch(1)):
        pass
    with caplog.at_level(logging.WARNING):
        await lab.recreate(topic, partitions=2)
        for number in range(6):
            await lab.send_to(topic, number % 2, f"new{number}")
        assert sorted(await new_values(reader, lab, 6)) == [f"new{number}" for number in range(6)]
        while ANEW not in caplog.text:
            await reader.fetch(1)
    assert [lines(caplog, ANEW), lines(caplog, BACK)] == [1, 0]
    assert lines(caplog, GONE) <= 1


async def test_a_reader_reads_added_partitions(lab: RealLab) -> None:
    """Its records come, and those of the partitions that it has read come on."""
    topic = lab.topic()
    reader = await lab.reader(topic)
    await lab.grow(topic, 3)
    await lab.send_to(topic, 2, "new0")
    assert await new_values(reader, lab, 1) == ["new0"]
    await lab.send_to(topic, 0, "new1")
    assert await new_values(reader, lab, 1) == ["new1"]
