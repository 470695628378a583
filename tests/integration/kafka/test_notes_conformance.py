"""What a successor knows of the records above the commit position, whichever client is behind either of them."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from tests.integration.kafka.labs import RealLab, buffer_of

from kallback.kafka import GroupProtocol
from kallback.kafka.offsets.commit_metadata import MAX_TEXT, CommitMetadata, decode, encode
from kallback.kafka.offsets.partition_metadata import Commit
from kallback.settings import KafkaSettings
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

if TYPE_CHECKING:
    from tests.integration.kafka.labs import Lab

    from kallback.kafka import Consumer, ConsumerOptions, Record

pytestmark = pytest.mark.integration

MEMBER = Path(__file__).with_name("member_killed_by_a_record.py")


def noting(lab: Lab) -> ConsumerOptions:
    """Options with notes."""
    return dataclasses.replace(lab.quiet, commit_metadata=True)


async def taken(lab: Lab, topic: str, group: str, count: int) -> tuple[Consumer, list[Record]]:
    """A consumer with notes, and its first records."""
    consumer = await lab.consumer(topic, group, noting(lab))
    return consumer, await lab.receive(consumer, count)


async def test_what_was_done_out_of_order_does_not_come_again(lab: Lab) -> None:
    """After a crash a successor gets exactly the unfinished records, then what is new."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abcdef")
    consumer, records = await taken(lab, topic, group, 6)
    for record in records:
        if record.value in {b"b", b"d", b"e"}:
            consumer.done(record)
    await consumer.commit()
    await lab.crash(consumer)
    await lab.send(topic, "g")
    _successor, again = await taken(lab, topic, group, 4)
    assert lab.values(again) == ["a", "c", "f", "g"]


async def test_notes_survive_a_successor_that_crashes_too(lab: Lab) -> None:
    """The second crash, before everything was handed out again, loses nothing of the first one's notes."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abcdef")
    consumer, records = await taken(lab, topic, group, 6)
    for record in records[2:]:
        consumer.done(record)
    await consumer.commit()
    await lab.crash(consumer)
    second, (a,) = await taken(lab, topic, group, 1)
    second.done(a)
    await second.commit()
    await lab.crash(second)
    await lab.send(topic, "g")
    _third, again = await taken(lab, topic, group, 2)
    assert lab.values(again) == ["b", "g"]


async def test_the_position_passes_what_predecessors_have_done(lab: Lab) -> None:
    """Once the gap is done, too, the group stands behind all of it, and says nothing more."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abc")
    consumer, (_a, b, c) = await taken(lab, topic, group, 3)
    consumer.done(b)
    consumer.done(c)
    await consumer.commit()
    await lab.crash(consumer)
    successor, (a,) = await taken(lab, topic, group, 1)
    assert await successor.fetch(1, 0.3) == []
    successor.done(a)
    await successor.commit()
    assert await lab.commits(group, topic) == {0: Commit(3)}


async def test_a_record_tells_how_often_it_was_started(lab: Lab) -> None:
    """Twice, when the process that had started it died; once, when it had only been handed out."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abc")
    consumer, records = await taken(lab, topic, group, 3)
    assert [record.deliveries for record in records] == [1, 1, 1]
    consumer.started(records[0])
    consumer.started(records[2])
    await consumer.commit()
    await lab.crash(consumer)
    successor, again = await taken(lab, topic, group, 3)
    assert [record.deliveries for record in again] == [2, 1, 2]
    successor.started(again[0])
    await successor.commit()
    await lab.crash(successor)
    _third, thrice = await taken(lab, topic, group, 3)
    assert [record.deliveries for record in thrice] == [3, 1, 2]


async def test_a_stop_in_good_order_does_not_count(lab: Lab) -> None:
    """A long task that is stopped by one deployment after the other is as good as new."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "long")
    for _deployment in range(3):
        consumer, (record,) = await taken(lab, topic, group, 1)
        assert record.deliveries == 1
        consumer.started(record)
        await consumer.commit()
        assert (await lab.commits(group, topic))[0].metadata != ""
        await consumer.stop()
    assert (await lab.commits(group, topic))[0].metadata == ""


async def test_a_rebalance_does_not_count_and_loses_no_note(lab: Lab) -> None:
    """What moves to another member while its work runs is not a delivery; what was done out of order stays done."""
    topic, group = lab.topic(partitions=2), lab.new_group()
    for key in range(20):
        await lab.send(topic, str(key), key=str(key))
    hasty = dataclasses.replace(noting(lab), drain_timeout=0.2)
    first = await lab.consumer(topic, group, hasty)
    records = await lab.receive(first, 20)
    lowest = {record.partition: record for record in reversed(records)}
    for record in records:
        first.started(record)
        if record is not lowest[record.partition]:
            first.done(record)
    await first.commit()
    second = await lab.consumer(topic, group, hasty)
    await lab.until(lambda: len(first.assignment()) == 1 == len(second.assignment()), "one partition each")
    (moved,) = second.assignment()
    (again,) = await lab.receive(second, 1)
    assert (again.offset, again.deliveries) == (lowest[moved.partition].offset, 1)
    assert await second.fetch(10, 0.3) == []


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_notes_under_the_new_group_protocol(lab: Lab) -> None:
    """KIP-848 hands partitions over in its own way; notes come with them all the same."""
    topic, group = lab.topic(), lab.new_group()
    options = dataclasses.replace(noting(lab), group_protocol=GroupProtocol.CONSUMER)
    await lab.send(topic, *"abc")
    consumer = await lab.consumer(topic, group, options)
    a, b, _c = await lab.receive(consumer, 3)
    consumer.started(a)
    consumer.done(b)
    await consumer.commit()
    await lab.crash(consumer)
    again = await lab.receive(await lab.consumer(topic, group, options), 2)
    assert [(record.value, record.deliveries) for record in again] == [(b"a", 2), (b"c", 1)]


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
async def test_the_other_client_reads_the_notes(lab: RealLab) -> None:
    """A worker on one client takes over from one on the other."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abc")
    consumer, (a, b, _c) = await taken(lab, topic, group, 3)
    consumer.started(a)
    consumer.done(b)
    await consumer.commit()
    await lab.crash(consumer)
    other = type(lab)("aiokafka" if lab.kind == "confluent" else "confluent", lab.settings, lab.topics)
    try:
        _successor, again = await taken(other, topic, group, 2)
        assert [(record.value, record.deliveries) for record in again] == [(b"a", 2), (b"c", 1)]
    finally:
        await other.stop()


async def test_what_does_not_fit_runs_again_and_nothing_is_lost(lab: Lab) -> None:
    """Every second of 5,000 records done: some 1,150 of them fit, the others come again."""
    topic, group, many = lab.topic(), lab.new_group(), 5000
    await lab.send(topic, *map(str, range(many)))
    consumer, records = await taken(lab, topic, group, many)
    consumer.started(records[0])
    for record in records[1::2]:
        consumer.done(record)
    await consumer.commit()
    await lab.crash(consumer)
    commit = (await lab.commits(group, topic))[0]
    kept = decode(0, commit.metadata)
    assert MAX_TEXT - 4 <= len(commit.metadata) <= MAX_TEXT
    assert (1100 < len(kept.done) < 1200, kept.deliveries) == (True, {0: 1})
    expected = [str(at) for at in range(many) if not kept.is_done(at)]
    successor, again = await taken(lab, topic, group, len(expected))
    assert (lab.values(again), await successor.fetch(1, 0.3)) == (expected, [])


@pytest.mark.parametrize("text", ["9:AAAB", "1:AAA", "of another program"])
async def test_notes_that_nobody_understands_are_ignored(lab: Lab, text: str) -> None:
    """Of a later version, or broken: everything above the position is delivered, once more, for the first time."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abc")
    await lab.commit(group, topic, Commit(1, text))
    _consumer, records = await taken(lab, topic, group, 2)
    assert [(record.value, record.deliveries) for record in records] == [(b"b", 1), (b"c", 1)]


@pytest.mark.parametrize("at_work", [False, True])
async def test_hostile_notes_concern_no_record_that_is_written_later(lab: Lab, *, at_work: bool) -> None:
    """They would be skipped, or parked because they were started too often."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"ab")
    hostile = CommitMetadata(((1, 2**60),), dict.fromkeys(range(100), 2**30), at_work)
    await lab.commit(group, topic, Commit(0, encode(0, hostile)))
    consumer, (first,) = await taken(lab, topic, group, 1)
    await lab.send(topic, *"cd")
    records = await lab.receive(consumer, 2)
    assert (first.value, [(each.value, each.deliveries) for each in records]) == (b"a", [(b"c", 1), (b"d", 1)])


@pytest.mark.parametrize("position", [3, 2**31, 2**63 - 1])
async def test_a_hostile_position_is_none_and_notes_beside_it_say_nothing(lab: Lab, position: int) -> None:
    """Beyond the end of the log: it is read from its beginning, and what is committed is a position in it."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"ab")
    notes = CommitMetadata(((1, 2**60),), dict.fromkeys(range(100), 2**30), at_work=True)
    await lab.commit(group, topic, Commit(position, encode(0, notes)))
    consumer, records = await taken(lab, topic, group, 2)
    await lab.send(topic, "c")
    records += await lab.receive(consumer, 1)
    assert [(each.value, each.deliveries) for each in records] == [(b"a", 1), (b"b", 1), (b"c", 1)]
    for record in records:
        consumer.done(record)
    await consumer.commit()
    assert await lab.committed(group, topic) == {0: 3}


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
@pytest.mark.parametrize("size", [1, 8, 24, 1000, 3072, 4096])
async def test_metadata_of_another_program_is_ignored(lab: RealLab, size: int) -> None:
    """Also without the zero at its end, where confluent-kafka reads on into what lies behind."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a")
    place = ClientPartition(topic, 0)
    other = AIOKafkaConsumer(bootstrap_servers=lab.settings.bootstrap_servers, group_id=group, enable_auto_commit=False)
    await other.start()
    other.assign([place])
    await other.commit({place: (0, "x" * size)})
    await other.stop()
    _consumer, (record,) = await taken(lab, topic, group, 1)
    assert (record.value, record.deliveries) == (b"a", 1)


async def test_without_the_option_metadata_stays_empty(lab: Lab) -> None:
    """Nothing is written, and what others wrote is not read."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abc")
    await lab.commit(group, topic, Commit(0, encode(0, CommitMetadata(((1, 2),), {0: 5}))))
    consumer = await lab.consumer(topic, group)
    records = await lab.receive(consumer, 3)
    assert [record.deliveries for record in records] == [1, 1, 1]
    consumer.started(records[1])
    consumer.done(records[0])
    consumer.done(records[2])
    await consumer.commit()
    assert await lab.commits(group, topic) == {0: Commit(1)}


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)  # there is no clock in memory
async def test_the_timer_commits_notes_and_then_rests(lab: Lab) -> None:
    """A start alone is committed within the interval, once."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a")
    consumer = await lab.consumer(topic, group, dataclasses.replace(noting(lab), commit_interval=0.05))
    (record,) = await lab.receive(consumer, 1)
    consumer.started(record)
    buffer = buffer_of(consumer)
    await lab.until(lambda: not buffer.commits(), "a commit by the timer")
    assert decode(0, (await lab.commits(group, topic))[0].metadata) == CommitMetadata((), {0: 1}, at_work=True)


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)
async def test_a_record_that_kills_its_process_is_counted(lab: RealLab) -> None:
    """Real processes, ended by SIGKILL: each one hears of one delivery more, and so does the next member."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "poison")
    heard: list[str] = []
    for _life in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(MEMBER), lab.kind, lab.settings.bootstrap_servers, topic, group, "one"),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == -signal.SIGKILL
        heard.append(output.decode().strip())
    assert heard == ["deliveries 1", "deliveries 2"]
    named = dataclasses.replace(noting(lab), group_instance_id="one")
    (record,) = await lab.receive(await lab.consumer(topic, group, named), 1)
    assert record.deliveries == 3


@pytest.mark.parametrize("kind", ["confluent", "aiokafka"])
async def test_a_broker_that_allows_no_notes_gets_positions(kind: str) -> None:
    """It refuses the whole commit; from then on positions go alone."""
    with start_kafka(KafkaOptions(properties={"offset.metadata.max.bytes": "4"})) as server:
        lab = RealLab(kind, KafkaSettings(server.bootstrap_servers), TopicFactory(server))
        topic, group = lab.topic(), lab.new_group()
        await lab.send(topic, *"abcd")
        consumer, (a, b, _c, d) = await taken(lab, topic, group, 4)
        consumer.done(d)
        await consumer.commit()
        assert await lab.commits(group, topic) == {}
        consumer.done(a)
        consumer.done(b)
        await consumer.commit()
        assert await lab.commits(group, topic) == {0: Commit(2)}
        await lab.stop()


async def test_only_after_a_crash_starts_are_to_be_committed_first(lab: Lab) -> None:
    """A process that died may have died of what it had just begun; one that left in good order has told everything."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abc")
    consumer, (a, b, _) = await taken(lab, topic, group, 3)
    consumer.started(a)
    assert consumer.must_commit_start(a), "the first start of an assignment"
    await consumer.commit()
    consumer.started(b)
    assert not consumer.must_commit_start(b)
    await lab.crash(consumer)

    second, records = await taken(lab, topic, group, 3)
    for record in records:
        second.started(record)
        await second.commit()
        assert second.must_commit_start(record)
