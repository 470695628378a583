"""What every `TopicReader` does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from kallback.protocol.errors import MissingTopicError

if TYPE_CHECKING:
    from tests.integration.kafka.labs import Lab

pytestmark = pytest.mark.integration


async def test_it_reads_all_partitions_from_the_beginning_then_follows(lab: Lab) -> None:
    """Everything that was there comes, then `caught_up` is set, then what is written later comes."""
    topic = lab.topic(partitions=3)
    for key in range(30):
        await lab.send(topic, str(key), key=str(key))
    reader = await lab.reader(topic)
    got: list[str] = []
    while not reader.caught_up.is_set():
        got += lab.values(await reader.fetch(10))
    assert sorted(got, key=int) == [str(key) for key in range(30)]
    await lab.send(topic, "later")
    assert lab.values(await reader.fetch(20)) == ["later"]


async def test_an_empty_topic_is_caught_up_at_once(lab: Lab) -> None:
    """Nobody waits for records that never were."""
    reader = await lab.reader(lab.topic(partitions=2))
    assert reader.caught_up.is_set()


async def test_two_readers_both_see_everything(lab: Lab) -> None:
    """There is no group that would share the records out."""
    topic = lab.topic()
    first, second = await lab.reader(topic), await lab.reader(topic)
    await lab.send(topic, "x")
    assert lab.values(await first.fetch(20)) == lab.values(await second.fetch(20)) == ["x"]


async def test_it_can_begin_at_a_time(lab: Lab) -> None:
    """Records older than the time are left out."""
    topic = lab.topic()
    await lab.send(topic, "old")
    await asyncio.sleep(0.01)
    since = int(time.time() * 1000)
    await asyncio.sleep(0.01)
    await lab.send(topic, "new")
    reader = await lab.reader(topic, since)
    assert lab.values(await reader.fetch(20)) == ["new"]


async def test_a_cancelled_fetch_loses_nothing(lab: Lab) -> None:
    """What a cancelled fetch would have returned, the next one returns."""
    topic = lab.topic()
    reader = await lab.reader(topic)
    sending = asyncio.create_task(lab.send(topic, *map(str, range(200))))
    got: list[str] = []
    for pause in [0, 0.001, 0.003] * 20:
        fetch = asyncio.create_task(reader.fetch(10))
        await asyncio.sleep(pause)
        fetch.cancel()
        await asyncio.wait([fetch])
        if not fetch.cancelled():
            got += lab.values(fetch.result())
    await sending
    while len(got) < 200:
        got += lab.values(await reader.fetch(10))
    assert got == [str(number) for number in range(200)]


async def test_a_missing_topic_stops_the_start(lab: Lab) -> None:
    """The sentence says what creates the topic."""
    reader = lab.new_reader("no-such-topic")
    with pytest.raises(MissingTopicError, match="kallback topics create no-such-topic"):
        await reader.start()
    await reader.stop()
