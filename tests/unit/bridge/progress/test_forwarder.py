from __future__ import annotations

from functools import partial

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import AUDIENCE, KEYRING, NOW, RecordFactory

from kallback.bridge import Backoff, BridgeOptions
from kallback.bridge.context import BridgeContext
from kallback.bridge.progress.consumed_marks import marks_of
from kallback.bridge.progress.forwarder import ProgressForwarder
from kallback.bridge.progress.monitor_client import SendResult
from kallback.bridge.stats import ProgressOutcome
from kallback.kafka import MemoryConsumer, OutgoingRecord, TopicPartition
from kallback.kafka.records import Unreadable, unreadable_record
from kallback.protocol import Signal, progress_headers
from kallback.protocol.verification import Trust
from kallback.testing.polling import eventually

NOW_MS = int(NOW * 1000)


def _heartbeat(
    make: RecordFactory, text: str | None = None, value: bytes = b"", every_ms: int | None = 1000
) -> OutgoingRecord:
    headers = progress_headers(text or make.sign(), Signal.HEARTBEAT, NOW_MS, every_ms)
    return OutgoingRecord("kallback.progress", value, b"key", headers)


async def test_a_heartbeat_is_told_and_done(env: BridgeEnv, make: RecordFactory) -> None:
    """From the progress topic to the task's monitor; then its offset need not come again."""
    async with env.bridge() as bridge:
        env.broker.append(_heartbeat(make, value=b"7"))
        await eventually("the heartbeat", lambda: env.monitor_client.told, timeout=5, interval=0.002)
        await eventually(
            "its outcome", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] == 1, timeout=5, interval=0.002
        )
    assert env.monitor_client.told[0].report.details == b"7"
    assert env.broker.committed("kallback.results.bridge.progress", "kallback.progress") == {0: 1}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(SendResult.MISSING, ProgressOutcome.UNWATCHED), (SendResult.REFUSED, ProgressOutcome.REFUSED)],
)
async def test_what_nobody_wants_is_dropped(
    env: BridgeEnv, make: RecordFactory, answer: SendResult, outcome: ProgressOutcome
) -> None:
    """Progress is best effort: it never stops its partition."""
    env.monitor_client.answer = answer
    async with env.bridge() as bridge:
        env.broker.append(_heartbeat(make))
        await eventually(f"{outcome}", lambda: bridge.stats.progress[outcome] == 1, timeout=5, interval=0.002)


async def test_it_is_told_again_until_restate_has_it(env: BridgeEnv, make: RecordFactory) -> None:
    """Restate is away for a while: the heartbeat is not done, and arrives later."""
    env.monitor_client.answer = SendResult.FAILED
    async with env.bridge() as bridge:
        env.broker.append(_heartbeat(make))
        await eventually("the first try", lambda: env.monitor_client.told, timeout=5, interval=0.002)
        assert bridge.stats.progress.total() == 0
        env.monitor_client.answer = SendResult.ACCEPTED
        env.monotonic += 10
        await eventually(
            "the second", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED], timeout=5, interval=0.002
        )


async def test_an_update_that_waits_is_sent_when_it_is_due_though_nothing_follows(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """The second heartbeat of a task waits for half its interval; the bridge, idle until then, does not forget it."""
    text = make.sign()
    async with env.bridge() as bridge:
        for number in (1, 2):
            env.broker.append(_heartbeat(make, text, b"%d" % number))
            await eventually("it is read", lambda: bridge.stats.progress.total() or env.monitor_client.told, timeout=5)
        await eventually("the first", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] == 1, timeout=5)
        env.monotonic += 10
        await eventually("the second", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] == 2, timeout=5)
    assert [each.report.details for each in env.monitor_client.told] == [b"1", b"2"]


async def test_a_key_that_the_bridge_does_not_have_is_named_in_the_log(
    env: BridgeEnv, make: RecordFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """In a rotation in the wrong order the worker is at work, and looks as if it were away."""
    text = make.sign()
    foreign = text.replace(f":{text.split(':')[1]}:", ":k2:", 1)
    async with env.bridge() as bridge:
        for _ in range(3):
            env.broker.append(_heartbeat(make, foreign))
        await eventually("all", lambda: bridge.stats.progress[ProgressOutcome.UNVERIFIED] == 3, timeout=5)
    lines = [each.getMessage() for each in caplog.records if "progress is not verified" in each.getMessage()]
    assert len(lines) == 1
    assert "signing key 'k2' is not known here" in lines[0]
    assert text[-22:] not in caplog.text


async def test_heartbeats_wait_in_kafka_while_the_services_do_not_answer(env: BridgeEnv, make: RecordFactory) -> None:
    """In Restate each would be an invocation that waits; the marks wait with them, and the newest is sent later."""
    held = [True]
    context = BridgeContext(BridgeOptions(), env.clocks())
    consumer = MemoryConsumer(env.broker, ["kallback.progress"], "group")
    forwarder = ProgressForwarder(
        lambda: consumer, Trust(KEYRING, AUDIENCE), env.monitor_client, context, is_held=lambda: held[-1]
    )
    await forwarder.start()
    text = make.sign()
    for number in (b"1", b"2"):
        env.broker.append(_heartbeat(make, text, number))
    outcomes = context.stats.progress
    await eventually("both", lambda: outcomes[ProgressOutcome.COALESCED] == 1, timeout=5, interval=0.002)
    assert (env.monitor_client.told, forwarder.covered()) == ([], {0: 1})
    held.append(False)
    await eventually("the newest", lambda: env.monitor_client.told, timeout=5, interval=0.002)
    await forwarder.stop()
    assert [each.report.details for each in env.monitor_client.told] == [b"2"]


async def test_forged_progress_is_dropped(env: BridgeEnv, make: RecordFactory) -> None:
    """No monitor hears of it."""
    async with env.bridge() as bridge:
        env.broker.append(_heartbeat(make, "kb1:nonsense"))
        await eventually(
            "its outcome", lambda: bridge.stats.progress[ProgressOutcome.UNVERIFIED], timeout=5, interval=0.002
        )
    assert env.monitor_client.told == []


async def test_a_record_is_settled_at_the_consumer_that_read_it(env: BridgeEnv, make: RecordFactory) -> None:
    """Consumers number their assignments alike: at the wrong one, a heartbeat counts as sent that was not."""
    env.monitor_client.answer = SendResult.FAILED
    async with env.bridge(BridgeOptions(backoff=Backoff(first=0.001, longest=0.002))):
        env.broker.append(_heartbeat(make))
        await eventually("the first try", lambda: env.monitor_client.told, timeout=5, interval=0.002)
        await env.progress_consumers[0].crash()
        await eventually("another consumer", lambda: len(env.progress_consumers) == 2, timeout=5, interval=0.002)
        await eventually("the record again", env.progress_consumers[1].unfinished, timeout=5, interval=0.002)
        env.monotonic += 10
        tries = len(env.monitor_client.told)
        await eventually("another try", lambda: len(env.monitor_client.told) > tries, timeout=5, interval=0.002)
        assert env.progress_consumers[1].unfinished() == 1
    assert env.broker.committed("kallback.results.bridge.progress", "kallback.progress").get(0, 0) == 0


async def test_marks_go_on_while_heartbeats_wait_for_their_turn(env: BridgeEnv, make: RecordFactory) -> None:
    """Fifty workers that send more often than every half interval: one record of each always waits."""
    tokens = [make.sign() for _ in range(50)]
    partition, marks = TopicPartition("kallback.progress", 0), list[dict[int, int]]()
    context = BridgeContext(BridgeOptions(), env.clocks())
    consumer = MemoryConsumer(env.broker, ["kallback.progress"], "group")
    forwarder = ProgressForwarder(lambda: consumer, Trust(KEYRING, AUDIENCE), env.monitor_client, context)
    await forwarder.start()
    for step in range(1, 11):
        env.monotonic += 0.3
        for text in tokens:
            env.broker.append(_heartbeat(make, text))
        end = env.broker.end(partition)
        await eventually("the records", partial(_is_covered, forwarder, end), timeout=5, interval=0.002)
        ends = {partition: end}
        marks.append(marks_of("kallback.progress", ends, forwarder.group_status(), step, forwarder.covered()))
    waiting = consumer.unfinished()
    await forwarder.stop()
    assert (marks, waiting > 0) == ([{0: step} for step in range(1, 11)], True)


def _is_covered(forwarder: ProgressForwarder, end: int) -> bool:
    return forwarder.covered().get(0, 0) >= end


async def test_a_heartbeat_that_restate_never_accepts_holds_the_marks_back(env: BridgeEnv, make: RecordFactory) -> None:
    """Its attempt must not be counted as lost because of an outage."""
    env.monitor_client.answer = SendResult.FAILED
    context = BridgeContext(BridgeOptions(), env.clocks())
    consumer = MemoryConsumer(env.broker, ["kallback.progress"], "group")
    forwarder = ProgressForwarder(lambda: consumer, Trust(KEYRING, AUDIENCE), env.monitor_client, context)
    await forwarder.start()
    env.broker.append(_heartbeat(make))
    await eventually("the first try", lambda: env.monitor_client.told, timeout=5, interval=0.002)
    held_back = forwarder.covered()
    await forwarder.stop()
    assert held_back == {0: 0}


async def test_a_damaged_batch_is_read_to_its_end(env: BridgeEnv, make: RecordFactory) -> None:
    """It is one record for many offsets: marks go on behind it while a heartbeat before it waits for its turn."""
    context = BridgeContext(BridgeOptions(), env.clocks())
    consumer = MemoryConsumer(env.broker, ["kallback.progress"], "group")
    forwarder = ProgressForwarder(lambda: consumer, Trust(KEYRING, AUDIENCE), env.monitor_client, context)
    await forwarder.start()
    text = make.sign()
    for count in (1, 2):
        env.broker.append(_heartbeat(make, text))
        await eventually("the heartbeat", partial(_is_covered, forwarder, count), timeout=5, interval=0.002)
    damaged = unreadable_record(
        TopicPartition("kallback.progress", 0), 2, 1, Unreadable("damaged", 5, whole_batch=True)
    )
    forwarder._route([damaged], forwarder._read_by or consumer)
    covered, waiting = forwarder.covered(), consumer.unfinished()
    await forwarder.stop()
    assert (covered, waiting) == ({0: 7}, 1)
