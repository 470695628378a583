from __future__ import annotations

import asyncio

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import NOW

from kallback.bridge.context import BridgeContext
from kallback.bridge.progress.consumed_marks import MarkedTopic, WatermarkReporter, marks_of
from kallback.bridge.progress.monitor_client import SendResult
from kallback.kafka import GroupStatus, PartitionStatus, TopicPartition
from kallback.protocol import KafkaUnavailableError

NOW_MS = int(NOW * 1000)


PARTITION = TopicPartition("kallback.results", 0)


def _status(position: int | None) -> GroupStatus:
    partition = PartitionStatus(position=position, end=9, window_used=0, window=10)
    return GroupStatus(joined=True, rebalances=1, last_poll=0.0, partitions={PARTITION: partition})


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


async def test_marks_are_reported_with_all_partitions(env: BridgeEnv) -> None:
    """Whoever adds them up must know how many there are."""
    reporter = _reporter_of(env, {PARTITION: 9, TopicPartition("kallback.results", 1): 0})
    env.monotonic = 100.0
    await reporter.look()
    ((topic, marks),) = env.monitor_client.reported
    assert (topic, marks.partitions, marks.marks) == ("kallback.results", 2, {0: NOW_MS})


async def test_what_is_read_at_once_is_reported_at_once(env: BridgeEnv) -> None:
    """A lost worker is noticed sooner; what is unread is waited for, and then not claimed."""
    looks: list[int] = []

    def covered() -> dict[int, int]:
        looks.append(len(looks))
        return {}

    def reporter(position: int) -> WatermarkReporter:
        context = BridgeContext(env.bridge().options, env.clocks())
        topics = {"kallback.results": MarkedTopic(lambda: _status(position), covered)}
        return WatermarkReporter(topics, _Ends({PARTITION: 9}), env.monitor_client, context)

    await reporter(9).look()
    assert (len(looks), len(env.monitor_client.reported)) == (1, 1)
    await reporter(8).look()
    assert (len(looks), len(env.monitor_client.reported)) == (6, 1)


async def test_an_earlier_end_is_claimed_where_transactions_never_leave_the_end_readable(env: BridgeEnv) -> None:
    """The position is behind each end when it is named, and reaches it later: the time of that question is claimed."""
    ends, positions = {PARTITION: 9}, [8]
    context = BridgeContext(env.bridge().options, env.clocks())
    topics = {"kallback.results": MarkedTopic(lambda: _status(positions[-1]))}
    reporter = WatermarkReporter(topics, _Ends(ends), env.monitor_client, context)
    await reporter.look()
    ends[PARTITION], asked_ms = 12, int(env.now * 1000)
    env.now += 1
    await reporter.look()
    assert env.monitor_client.reported == []
    positions.append(10)
    env.now += 1
    await reporter.look()
    ((_, marks),) = env.monitor_client.reported
    assert marks.marks == {0: asked_ms}


async def test_nothing_is_claimed_right_after_a_silence_of_kafka(env: BridgeEnv) -> None:
    """Workers that could not send either need a moment to be heard."""
    reporter = _reporter_of(env, {PARTITION: 9})
    await reporter.start()
    env.monotonic = 4.9
    await reporter.look()
    assert env.monitor_client.reported == []
    await reporter.stop()


async def test_kafka_that_does_not_answer_is_no_mark(env: BridgeEnv) -> None:
    """The error says so; the reporter begins to wait again."""
    reporter = _reporter_of(env, None)
    with pytest.raises(KafkaUnavailableError):
        await reporter.look()


async def test_without_a_watcher_it_asks_less_often(env: BridgeEnv) -> None:
    """A Restate without the service costs one question in half a minute."""
    env.monitor_client.answer = SendResult.MISSING
    reporter = _reporter_of(env, {PARTITION: 9})
    env.monotonic = 100.0
    await reporter.look()
    await asyncio.sleep(0)
    await reporter.look()
    assert len(env.monitor_client.reported) == 1


async def test_a_report_that_waits_in_restate_is_tried_again_even_without_marks(env: BridgeEnv) -> None:
    """Its services are away; the first report that Restate takes, not one that fails, says that they are back."""
    positions = [9]
    reporter = WatermarkReporter(
        {"kallback.results": MarkedTopic(lambda: _status(positions[-1]))},
        _Ends({PARTITION: 9}),
        env.monitor_client,
        BridgeContext(env.bridge().options, env.clocks()),
    )
    said = list[bool]()
    for answer in (SendResult.WAITING, SendResult.FAILED, SendResult.WAITING, SendResult.ACCEPTED):
        env.monitor_client.answer = answer
        await reporter.look()
        await asyncio.sleep(0)
        said.append(reporter.is_unanswered)
        positions.append(8)
    assert said == [True, True, True, False]
    assert [marks.marks for _, marks in env.monitor_client.reported] == [{0: NOW_MS}, {}, {}, {}]


@pytest.mark.parametrize(("waiting", "said"), [(4, []), (5, ["do not answer", "answer again"])])
async def test_services_that_need_a_moment_are_not_said_to_be_away(
    env: BridgeEnv, caplog: pytest.LogCaptureFixture, waiting: int, said: list[str]
) -> None:
    """A report that takes seconds is no outage; after five in a row a line says so, and another one when it is over."""
    caplog.set_level("INFO")
    reporter = WatermarkReporter(
        {"kallback.results": MarkedTopic(lambda: _status(9))},
        _Ends({PARTITION: 9}),
        env.monitor_client,
        BridgeContext(env.bridge().options, env.clocks()),
    )
    for answer in (*[SendResult.WAITING] * waiting, SendResult.ACCEPTED):
        env.monitor_client.answer = answer
        await reporter.look()
        await asyncio.sleep(0)
    lines = [each.getMessage() for each in caplog.records if "services of kallback" in each.getMessage()]
    assert len(lines) == len(said)
    assert [text in line for text, line in zip(said, lines, strict=True)] == [True] * len(said)


class _Ends:
    def __init__(self, ends: dict[TopicPartition, int] | None) -> None:
        self._ends = ends

    async def of(self, _topics: object, *, uncommitted: bool = False) -> dict[TopicPartition, int]:
        assert uncommitted  # what an open transaction holds back is not read
        if self._ends is None:
            raise KafkaUnavailableError("switched off")
        return self._ends

    async def stop(self) -> None:
        pass


def _reporter_of(env: BridgeEnv, ends: dict[TopicPartition, int] | None) -> WatermarkReporter:
    context = BridgeContext(env.bridge().options, env.clocks())
    return WatermarkReporter(
        {"kallback.results": MarkedTopic(lambda: _status(9))}, _Ends(ends), env.monitor_client, context
    )
