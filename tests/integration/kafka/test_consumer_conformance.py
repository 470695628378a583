"""What every `Consumer` does, whichever client is behind it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.integration.kafka.labs import buffer_of, transaction

from kallback.kafka import OutgoingRecord, Refusal
from kallback.protocol.errors import KafkaUnavailableError, MissingTopicError

if TYPE_CHECKING:
    from tests.integration.kafka.labs import Lab, RealLab

    from kallback.kafka import Consumer, Lag, Record

pytestmark = pytest.mark.integration


async def test_a_lone_record_does_not_wait_for_company(lab: Lab) -> None:
    """A fetch of many returns with the first record, long before its time-out."""
    topic = lab.topic()
    consumer = await lab.consumer(topic)
    waiting = asyncio.create_task(consumer.fetch(1000, 60))
    await lab.send(topic, "alone")
    async with asyncio.timeout(60):
        assert lab.values(await waiting) == ["alone"]


async def test_an_empty_fetch_ends_with_its_time(lab: Lab) -> None:
    """Without records a fetch returns an empty list."""
    consumer = await lab.consumer(lab.topic())
    assert await consumer.fetch(10, 0.05) == []


async def test_a_fetch_hands_out_at_most_its_limit(lab: Lab) -> None:
    """Records beyond the limit come with the next fetch, in order."""
    topic = lab.topic()
    await lab.send(topic, *"abcde")
    consumer = await lab.consumer(topic)
    assert lab.values(await lab.receive(consumer, 2)) == ["a", "b"]
    assert lab.values(await lab.receive(consumer, 3)) == ["c", "d", "e"]


async def test_cancelling_fetches_loses_nothing(lab: Lab) -> None:
    """Whenever a fetch is cancelled, the next one goes on where the last one that returned ended."""
    topic = lab.topic()
    consumer = await lab.consumer(topic)
    sending = asyncio.create_task(lab.send(topic, *map(str, range(300))))
    got: list[str] = []
    for pause in [0, 0.001, 0.003] * 30:
        fetch = asyncio.create_task(consumer.fetch(2, 30))
        await asyncio.sleep(pause)
        if not fetch.done():
            fetch.cancel()
            await asyncio.wait([fetch])
        if not fetch.cancelled():
            got += lab.values(fetch.result())
    await sending
    got += lab.values(await lab.receive(consumer, 300 - len(got)))
    assert got == [str(number) for number in range(300)]


async def test_what_is_done_in_any_order_is_committed_up_to_the_first_gap(lab: Lab) -> None:
    """After a restart the first unfinished record comes again, and all after it."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abcde")
    consumer = await lab.consumer(topic, group)
    a, b, _c, d, e = await lab.receive(consumer, 5)
    for record in (e, b, a, d):
        consumer.done(record)
    await consumer.commit()
    await lab.crash(consumer)
    assert lab.values(await lab.receive(await lab.consumer(topic, group), 3)) == ["c", "d", "e"]


async def test_a_crash_delivers_again_what_was_not_committed(lab: Lab) -> None:
    """Done but not committed is delivered again: at least once."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    consumer = await lab.consumer(topic, group)
    for record in await lab.receive(consumer, 2):
        consumer.done(record)
    await lab.crash(consumer)
    assert lab.values(await lab.receive(await lab.consumer(topic, group), 2)) == ["a", "b"]


async def test_stop_commits_what_is_done(lab: Lab) -> None:
    """A stopped consumer's successor begins after what was done; stopping twice is fine."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    consumer = await lab.consumer(topic, group)
    first, _second = await lab.receive(consumer, 2)
    consumer.done(first)
    await consumer.stop()
    await consumer.stop()
    assert lab.values(await lab.receive(await lab.consumer(topic, group), 1)) == ["b"]


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)  # there is no clock in memory
async def test_the_timer_commits(lab: Lab) -> None:
    """Without any call, what is done is committed within the interval."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    consumer = await lab.consumer(topic, group, dataclasses.replace(lab.quiet, commit_interval=0.05))
    first, _second = await lab.receive(consumer, 2)
    consumer.done(first)
    buffer = buffer_of(consumer)
    await lab.until(lambda: not buffer.commits(), "a commit by the timer")
    await lab.crash(consumer)
    assert lab.values(await lab.receive(await lab.consumer(topic, group), 1)) == ["b"]


async def test_a_second_member_takes_over_drained_partitions(lab: Lab) -> None:
    """Records that become done while a rebalance drains are not delivered to the new owner."""
    topic, group = lab.topic(partitions=2), lab.new_group()
    for key in range(20):
        await lab.send(topic, str(key), key=str(key))
    first = await lab.consumer(topic, group)
    records = await lab.receive(first, 20)
    second = await lab.consumer(topic, group)
    joining = asyncio.create_task(second.fetch(20, 4))
    for record in records:
        await asyncio.sleep(0.01)
        first.done(record)
    await lab.until(lambda: len(first.assignment()) == 1 == len(second.assignment()), "one partition each")
    assert await joining == []
    assert await first.fetch(20, 0.5) == []


async def test_a_second_member_gets_what_was_not_drained(lab: Lab) -> None:
    """An unfinished record goes to the next owner after the drain limit; its late `done` changes nothing."""
    topic, group = lab.topic(partitions=2), lab.new_group()
    for key in range(20):
        await lab.send(topic, str(key), key=str(key))
    hasty = dataclasses.replace(lab.quiet, drain_timeout=0.2)
    first = await lab.consumer(topic, group, hasty)
    records = await lab.receive(first, 20)
    second = await lab.consumer(topic, group, hasty)
    await lab.until(lambda: len(first.assignment()) == 1 == len(second.assignment()), "one partition each")
    (moved,) = second.assignment()
    expected = [each for each in records if each.partition == moved.partition]
    again = await lab.receive(second, len(expected))
    assert lab.values(again) == lab.values(expected)
    for record in expected:
        first.done(record)  # stale: neither counted nor committed
    await first.commit()
    assert moved.partition not in await lab.committed(group, topic)


async def test_a_full_window_stops_its_partition_only(lab: Lab) -> None:
    """A partition whose first record is unfinished is held at its window, the other one flows."""
    topic = lab.topic(partitions=2)
    producer = await lab.producer()
    by_partition: dict[int, bytes] = {}
    for number in range(50):
        key = str(number).encode()
        by_partition.setdefault((await producer.send(OutgoingRecord(topic, b"probe", key))).partition, key)
    stuck, flowing = by_partition
    held: Record | None = None
    consumer = await lab.consumer(topic, options=dataclasses.replace(lab.quiet, window=60, buffer_records=8))
    for record in await lab.receive(consumer, 50):
        consumer.done(record)
    for number in range(100):
        await asyncio.gather(
            *(producer.send(OutgoingRecord(topic, str(number).encode(), key)) for key in by_partition.values())
        )
    seen: dict[int, list[str]] = {stuck: [], flowing: []}
    while sum(map(len, seen.values())) < 160:
        for record in await lab.receive(consumer, 1):
            seen[record.partition] += lab.values([record])
            if record.partition == flowing:
                consumer.done(record)
            elif len(seen[stuck]) == 1:
                held = record
            else:
                consumer.done(record)
    assert await consumer.fetch(10, 0.3) == []
    assert (len(seen[stuck]), seen[flowing]) == (60, [str(number) for number in range(100)])
    assert held is not None
    consumer.done(held)
    assert lab.values(await lab.receive(consumer, 40)) == [str(number) for number in range(60, 100)]


async def test_a_record_that_is_set_aside_leaves_room_for_the_next(lab: Lab) -> None:
    """It is unfinished, and the limit of its partition does not count it."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abcd")
    consumer = await lab.consumer(topic, group, dataclasses.replace(lab.quiet, unfinished_records=2))
    consumer.set_aside(await lab.receive(consumer, 2))
    assert lab.values(await lab.receive(consumer, 2)) == ["c", "d"]
    await consumer.commit()
    assert (consumer.unfinished(), await lab.committed(group, topic)) == (4, {})


async def test_records_that_the_screen_refuses_are_handed_out_as_runs(lab: Lab) -> None:
    """Together the runs count each of them once, the others come as they are, and all of them can be settled."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *["no"] * 300, "yes", *["no"] * 300)
    consumer = lab.new_consumer(topic, group, lab.quiet)
    refusal = Refusal("no", "it says no")
    consumer.screen(lambda records: [refusal if record.value == b"no" else "looked at" for record in records])
    await lab.start(consumer)
    records: list[Record] = []
    while sum(record.count for record in records) < 601:
        records += await consumer.fetch(100, 30)
    assert [(record.offset, record.screened) for record in records if record.refused is None] == [(300, "looked at")]
    assert [record.next_offset for record in records[:-1]] == [record.offset for record in records[1:]]
    for record in records:
        consumer.done(record)
    await consumer.commit()
    assert await lab.committed(group, topic) == {0: 601}


async def test_records_that_nobody_takes_are_all_there_later(lab: Lab) -> None:
    """Many more records than are held back: none is lost or doubled when fetching goes on after a pause."""
    topic = lab.topic(partitions=2)
    for key in ("x", "y"):
        await lab.send(topic, *(f"{key}{number}" for number in range(2000)), key=key)
    consumer = await lab.consumer(topic, options=dataclasses.replace(lab.quiet, buffer_records=50))
    got = lab.values(await lab.receive(consumer, 1))
    await asyncio.sleep(0.5)  # time for the client to run into its limits
    got += lab.values(await lab.receive(consumer, 3999))
    assert [each for each in got if each[0] == "x"] == [f"x{number}" for number in range(2000)]
    assert [each for each in got if each[0] == "y"] == [f"y{number}" for number in range(2000)]


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)  # no transactions in memory
async def test_the_lag_behind_a_transaction_is_zero(lab: RealLab) -> None:
    """The marker at the end of a transaction is no record that waits."""
    topic = lab.topic()
    consumer = await lab.consumer(topic)
    with transaction(lab.settings, topic, "a", "b"):
        pass
    for record in await lab.receive(consumer, 2):
        consumer.done(record)
    fetching = asyncio.create_task(lab.drain(consumer))
    await lab.until(lambda: consumer.group_status().lag == 0, "a lag of 0")
    fetching.cancel()


async def test_a_missing_topic_stops_the_start_with_the_command(lab: Lab) -> None:
    """Start fails when a topic does not exist, and says what creates it."""
    consumer = lab.new_consumer("no-such-topic", lab.new_group(), lab.quiet)
    with pytest.raises(MissingTopicError, match="kallback topics create no-such-topic"):
        await consumer.start()
    await consumer.stop()


async def test_fetching_after_stop_is_refused(lab: Lab) -> None:
    """A stopped consumer says so instead of waiting for ever."""
    consumer = await lab.consumer(lab.topic())
    await consumer.stop()
    with pytest.raises(KafkaUnavailableError, match="not running"):
        await consumer.fetch(1, 1)


async def test_lag_is_what_is_not_done(lab: Lab) -> None:
    """Records above the commit position are lag, whether they were handed out or not."""
    topic = lab.topic()
    await lab.send(topic, *"abcde")
    consumer = await lab.consumer(topic)
    records = await lab.receive(consumer, 3)
    for record in records[:2]:
        consumer.done(record)
    await lab.until(lambda: lags(consumer) == [3], "a lag of 3")
    (stands,) = consumer.group_status().partitions.values()
    assert (stands.position, stands.end, stands.window_used, stands.window) == (2, 5, 1, lab.quiet.window)


async def test_a_successor_with_nothing_to_do_has_no_lag(lab: Lab) -> None:
    """Before the first record, the lag follows from where the group stands."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    consumer = await lab.consumer(topic, group)
    for record in await lab.receive(consumer, 2):
        consumer.done(record)
    await consumer.stop()
    successor = await lab.consumer(topic, group)
    assert await successor.fetch(1, 0.5) == []
    await lab.until(lambda: lags(successor) == [0], "a lag of 0")


async def test_lag_grows_while_nobody_fetches(lab: Lab) -> None:
    """What is written while the caller is busy shows, though the client holds only so much."""
    topic = lab.topic()
    await lab.send(topic, "first")
    consumer = await lab.consumer(topic, options=dataclasses.replace(lab.quiet, buffer_records=5))
    await lab.receive(consumer, 1)
    await lab.send(topic, *map(str, range(100)))
    await lab.until(lambda: lags(consumer) == [101], "a lag of 101")
    await asyncio.sleep(0.2)  # what the client had under way comes to rest
    await lab.send(topic, *map(str, range(100)))
    await lab.until(lambda: lags(consumer) == [201], "a lag of 201")


async def test_a_member_without_partitions_has_joined(lab: Lab) -> None:
    """More members than partitions: the spare one is a member, too; and rebalances are counted."""
    topic, group = lab.topic(), lab.new_group()
    members = [lab.new_consumer(topic, group, lab.quiet) for _ in range(2)]
    assert not members[0].group_status().joined
    for member in members:
        await lab.start(member)
    fetching = [asyncio.create_task(member.fetch(1, 30)) for member in members]
    await lab.until(lambda: all(member.group_status().joined for member in members), "two members")
    await lab.until(lambda: sum(len(member.assignment()) for member in members) == 1, "one owner")
    assert all(member.group_status().rebalances >= 1 for member in members)
    for fetch in fetching:
        fetch.cancel()
    await members[0].stop()
    assert not members[0].group_status().joined


@pytest.mark.parametrize("lab", ["confluent", "aiokafka"], indirect=True)  # memory has nothing that could stop
async def test_a_client_at_work_gives_signs_of_life(lab: Lab) -> None:
    """Without a record and without a fetch, the client's clock goes on."""
    consumer = await lab.consumer(lab.topic())
    before = consumer.group_status().last_poll
    await lab.until(lambda: consumer.group_status().last_poll > before, "a sign of life")


def lags(consumer: Consumer) -> list[Lag]:
    """The lags of the partitions that a member owns."""
    return [each.lag for each in consumer.group_status().partitions.values()]
