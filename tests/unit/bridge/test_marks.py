import asyncio
from typing import Any

import pytest

from kallback.bridge.context import BridgeContext
from kallback.bridge.progress.consumed_marks import WatermarkReporter, marks_of
from kallback.bridge.progress.monitor_client import SendResult
from kallback.kafka import GroupStatus, PartitionStatus, TopicPartition
from kallback.protocol import KafkaUnavailableError

from .conftest import NOW

NOW_MS = int(NOW * 1000)


PARTITION = TopicPartition("kallback.results", 0)


def _status(position: int | None) -> GroupStatus:
    stands = PartitionStatus(position=position, end=9, window_used=0, window=10)
    return GroupStatus(joined=True, rebalances=1, last_poll=0.0, partitions={PARTITION: stands})


@pytest.mark.parametrize(("position", "marks"), [(9, {0: 5}), (10, {0: 5}), (8, {}), (None, {})])
def test_a_mark_needs_the_whole_partition(position: int | None, marks: dict[int, int]) -> None:
    """One record without an outcome, and the time is not claimed."""
    assert marks_of(PARTITION.topic, {PARTITION: 9}, _status(position), 5) == marks


def test_partitions_of_others_are_theirs() -> None:
    """Each bridge speaks for what it owns."""
    other = TopicPartition("kallback.results", 1)
    assert marks_of(PARTITION.topic, {PARTITION: 9, other: 0}, _status(9), 5) == {0: 5}


def test_no_consumer_no_marks() -> None:
    """It is being replaced."""
    assert marks_of(PARTITION.topic, {PARTITION: 0}, None, 5) == {}


async def test_marks_are_reported_with_all_partitions(world: Any) -> None:
    """Whoever adds them up must know how many there are."""
    keeper = _keeper_of(world, {PARTITION: 9, TopicPartition("kallback.results", 1): 0})
    world.monotonic = 100.0
    await keeper.look()
    ((topic, marks),) = world.monitor_client.reported
    assert (topic, marks.partitions, marks.marks) == ("kallback.results", 2, {0: NOW_MS})


async def test_nothing_is_claimed_right_after_a_silence_of_kafka(world: Any) -> None:
    """Workers that could not send either need a moment to be heard."""
    keeper = _keeper_of(world, {PARTITION: 9})
    await keeper.start()
    world.monotonic = 4.9
    await keeper.look()
    assert world.monitor_client.reported == []
    await keeper.stop()


async def test_kafka_that_does_not_answer_is_no_mark(world: Any) -> None:
    """The error says so; the keeper begins to wait again."""
    keeper = _keeper_of(world, None)
    with pytest.raises(KafkaUnavailableError):
        await keeper.look()


async def test_without_a_watcher_it_asks_less_often(world: Any) -> None:
    """A Restate without the service costs one question in half a minute."""
    world.monitor_client.answer = SendResult.MISSING
    keeper = _keeper_of(world, {PARTITION: 9})
    world.monotonic = 100.0
    await keeper.look()
    await asyncio.sleep(0)
    await keeper.look()
    assert len(world.monitor_client.reported) == 1


class _Ends:
    def __init__(self, ends: dict[TopicPartition, int] | None) -> None:
        self._ends = ends

    async def of(self, _topics: object) -> dict[TopicPartition, int]:
        if self._ends is None:
            raise KafkaUnavailableError("switched off")
        return self._ends

    async def stop(self) -> None:
        pass


def _keeper_of(world: Any, ends: dict[TopicPartition, int] | None) -> WatermarkReporter:
    shared = BridgeContext(world.bridge().options, world.clocks())
    return WatermarkReporter({"kallback.results": lambda: _status(9)}, _Ends(ends), world.monitor_client, shared)
