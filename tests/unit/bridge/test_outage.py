"""What a bridge does while Restate or Kafka is unavailable, or refuses us."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Accepted, Backoff, BridgeOptions, Misconfigured, Reply, Retry
from kallback.bridge.observability.probes import readiness
from kallback.bridge.pipeline import fetcher
from kallback.bridge.restate.services import ServiceAnswer, ServiceState
from kallback.kafka import ConsumerOptions, MemoryConsumer, OutgoingRecord, TopicPartition
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KafkaUnavailableError,
    UnsupportedServerError,
)
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually

QUICK = Backoff(first=0.001, longest=0.01)
DOWN = Retry("unreachable", "connection refused")
WRONG = Misconfigured("404", "set KALLBACK_RESTATE_INGRESS_URL to the right address")
DENIED = Misconfigured("401", "set KALLBACK_RESTATE_AUTH_TOKEN to the right key", denied=True)


async def test_while_restate_is_unavailable_fetching_stops_and_nothing_is_lost(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """A backlog stays in Kafka; when Restate is back, everything is delivered, nothing dead-lettered."""
    env.reply = lambda _: DOWN
    for _ in range(1000):
        env.broker.append(make.completed())
    options = BridgeOptions(backoff=QUICK, concurrency=8, max_in_flight=100)
    async with env.bridge(options) as bridge:
        await eventually("failures", lambda: bridge.stats.retries > 50, interval=0.002)
        fetched = bridge.stats.fetched
        env.reply = lambda _: Accepted()
        await env.settle(1000)

    assert fetched <= 100
    assert (env.outcomes(), env.dead_letters(), env.committed()) == ({"delivered": 1000}, [], 1000)


async def test_an_outage_throttles_fetching(env: BridgeEnv, make: RecordFactory) -> None:
    """However much room there is, no more is taken than the fetch that was under way."""
    env.reply = lambda _: DOWN
    for _ in range(20):
        env.broker.append(make.completed())
    options = BridgeOptions(backoff=QUICK, concurrency=8, fetch_limit=5, drain_timeout=0.0)
    async with env.bridge(options) as bridge:
        await eventually("the outage", lambda: bridge.stats.retries > 50, interval=0.002)
        for _ in range(100):
            env.broker.append(make.completed())
        seen = bridge.stats.retries
        await eventually("probes", lambda: bridge.stats.retries > seen + 5, interval=0.002)
        assert bridge.stats.fetched <= 25


async def test_while_restate_is_unavailable_one_probe_at_a_time_goes_out(env: BridgeEnv, make: RecordFactory) -> None:
    """A server that struggles is not stormed."""
    env.reply = lambda _: DOWN
    for _ in range(50):
        env.broker.append(make.completed())
    options = BridgeOptions(backoff=Backoff(first=0.01, longest=0.01), concurrency=50, drain_timeout=0.0)
    async with env.bridge(options) as bridge:
        await eventually("the outage", lambda: bridge.stats.attempts >= 50, interval=0.002)
        before = bridge.stats.attempts
        await asyncio.sleep(0.1)
        assert bridge.stats.attempts - before <= 21


async def test_a_lone_record_is_tried_until_restate_is_back(env: BridgeEnv, make: RecordFactory) -> None:
    """The back-off is capped, so it resumes soon."""
    env.reply = lambda _: DOWN
    env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(backoff=QUICK)) as bridge:
        await eventually("many attempts", lambda: bridge.stats.attempts > 20, interval=0.002)
        env.reply = lambda _: Accepted()
        await env.settle(1)
    assert env.outcomes() == {"delivered": 1}


async def test_retry_after_is_heeded_up_to_a_limit(env: BridgeEnv, make: RecordFactory) -> None:
    """A server may ask for a pause, not for a year."""
    replies: Iterator[Reply] = iter([Retry("429", "slow", after=1e9), Accepted()])
    env.reply = lambda _: next(replies)
    env.broker.append(make.completed())
    loop = asyncio.get_running_loop()
    async with env.bridge(BridgeOptions(longest_retry_after=0.1, backoff=QUICK)):
        begun = loop.time()
        async with asyncio.timeout(60):
            await env.settle(1)
    assert loop.time() - begun >= 0.1


async def test_an_outage_is_two_log_lines(env: BridgeEnv, make: RecordFactory) -> None:
    """One when it begins, one when it ends, whatever number of records failed."""
    env.reply = lambda _: DOWN
    for _ in range(200):
        env.broker.append(make.completed())
    with capture_logs() as lines:
        async with env.bridge(BridgeOptions(backoff=QUICK)) as bridge:
            await eventually("failures", lambda: bridge.stats.retries > 50, interval=0.002)
            env.reply = lambda _: Accepted()
            await env.settle(200)

    events = [line["event"] for line in lines]
    assert sum("Restate unavailable" in event for event in events) == 1
    assert sum("Restate available again" in event for event in events) == 1
    assert len(events) < 10


@pytest.mark.parametrize("reply", [WRONG, DENIED, DOWN])
@pytest.mark.parametrize("count", [1, 50])
async def test_failures_that_persist_are_told_until_they_end(
    env: BridgeEnv, make: RecordFactory, reply: Misconfigured | Retry, count: int
) -> None:
    """After 30 s of nothing else the bridge is not ready, and an error line has the remedy; it tries on."""
    env.reply = lambda _: reply
    for _ in range(count):
        env.broker.append(make.completed())
    with capture_logs() as lines:
        async with env.bridge(BridgeOptions(backoff=QUICK)) as bridge:
            await eventually("failures", lambda: bridge.stats.retries > 3, interval=0.002)
            env.monotonic = 30.0
            await eventually("its reason", lambda: bridge.stats.undelivered is not None, interval=0.002)
            seen, before = bridge.stats.retries, readiness(bridge).reasons
            assert readiness(bridge).restate == "unavailable"
            env.monotonic = 3600.0
            await eventually("further tries", lambda: bridge.stats.retries > seen + 3, interval=0.002)
            assert (bridge.failure, env.settled, env.dead_letters(), env.committed()) == (None, [], [], 0)
            env.reply = lambda _: Accepted()
            await env.settle(count)
            assert readiness(bridge).ok

    assert [reply.detail in reason for reason in before] == [True]
    errors = [line for line in lines if line["log_level"] == "error"]
    assert 1 <= len(errors) <= 2
    assert reply.detail in errors[0]["reason"]


async def test_a_bridge_whose_restate_has_never_answered_is_not_ready(env: BridgeEnv) -> None:
    """A roll-out with a wrong address must not replace bridges that work; without a result, only the check can tell."""
    env.restate_answers = False
    async with env.bridge() as bridge:
        await eventually("partitions", lambda: (status := bridge.group_status()) is not None and status.joined)
        before = readiness(bridge)
        env.restate_answers = True
        await eventually("the bridge to be ready", lambda: readiness(bridge).ok)
    assert (before.ok, before.restate) == (False, "unavailable")
    assert ["KALLBACK_RESTATE_INGRESS_URL" in reason for reason in before.reasons] == [True]


async def test_a_result_that_is_delivered_shows_that_restate_answers(env: BridgeEnv, make: RecordFactory) -> None:
    """A proxy may let pass the paths of awakeables only: then the check never has an answer."""
    env.restate_answers = False
    async with env.bridge() as bridge:
        env.broker.append(make.completed())
        await env.settle(1)
        await eventually("the bridge to be ready", lambda: readiness(bridge).ok)


async def test_a_service_that_answers_shows_that_restate_does(env: BridgeEnv) -> None:
    """Also where a proxy lets pass the paths of services only. That one is missing may be the 404 of a proxy."""
    env.restate_answers = False
    env.services = [ServiceAnswer("TaskMonitor", ServiceState.MISSING)]
    async with env.bridge() as bridge:
        assert bridge.stats.restate_unseen
    env.services = [ServiceAnswer("TaskMonitor", ServiceState.OWN)]
    async with env.bridge() as bridge:
        assert not bridge.stats.restate_unseen


async def test_a_check_that_fails_after_an_outage_does_not_stop_the_bridge(env: BridgeEnv, make: RecordFactory) -> None:
    """A proxy that answers with another certificate for a while is no reason to end: only a Restate too old is."""
    env.reply = lambda _: DOWN
    for _ in range(20):
        env.broker.append(make.completed())

    def another_certificate() -> None:
        raise ConfigurationError("the certificate is not trusted")

    async with env.bridge(BridgeOptions(backoff=QUICK)) as bridge:
        await eventually("the outage", lambda: bridge.stats.unavailable, interval=0.002)
        env.checked = another_certificate
        env.reply = lambda _: Accepted()
        await env.settle(20)
        await eventually("the check", lambda: env.checks == 2)
        await asyncio.sleep(0)
        assert bridge.failure is None


@pytest.mark.parametrize("between", [Accepted(), DOWN])
async def test_refusals_that_come_and_go_do_not(env: BridgeEnv, make: RecordFactory, between: Reply) -> None:
    """A success, or a plain outage, in between: the 30 s begin anew."""
    env.reply = lambda _: WRONG
    env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(backoff=QUICK, drain_timeout=0.0)) as bridge:
        await eventually("failures", lambda: bridge.stats.replies["404"] > 3, interval=0.002)
        env.reply = lambda _: between
        label = between.label
        await eventually("the other reply", lambda: bridge.stats.replies[label] > 0, interval=0.002)
        env.monotonic = 31.0
        env.reply = lambda _: WRONG
        env.broker.append(make.completed())
        seen = bridge.stats.replies["404"]
        await eventually("more refusals", lambda: bridge.stats.replies["404"] > seen + 3, interval=0.002)
        env.monotonic = 60.0
        await asyncio.sleep(0.05)
        assert bridge.failure is None


async def test_a_restate_that_comes_back_is_looked_at_again(env: BridgeEnv, make: RecordFactory) -> None:
    """It may be another one: too old, and the bridge stops."""
    env.reply = lambda _: DOWN
    for _ in range(20):
        env.broker.append(make.completed())
    bridge = env.bridge(BridgeOptions(backoff=QUICK))
    await bridge.start()
    await eventually("the outage", lambda: bridge.stats.retries > 20, interval=0.002)

    def too_old() -> None:
        raise UnsupportedServerError("too old")

    env.checked = too_old
    env.reply = lambda _: Accepted()
    with pytest.raises(UnsupportedServerError):
        await asyncio.wait_for(bridge.wait(), 60)
    await bridge.stop()


async def test_a_broken_consumer_is_replaced(env: BridgeEnv, make: RecordFactory) -> None:
    """What was in flight attaches to its second coming, and all is committed."""
    env.hold.clear()
    env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(backoff=QUICK)) as bridge:
        await eventually("the post", lambda: env.posted)
        await env.consumers[0].crash()
        env.broker.append(make.completed())
        await eventually("the second coming", lambda: bridge.stats.fetched == 3)
        env.hold.set()
        await env.settle(3)

    assert env.outcomes() == {"delivered": 2, "duplicate": 1}
    assert env.committed() == 2


async def test_a_consumer_that_is_replaced_is_stopped(env: BridgeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members of one bridge would share its partitions."""

    async def broken(*_: object) -> None:
        raise KafkaUnavailableError("fatal")

    async with env.bridge(BridgeOptions(backoff=QUICK)):
        monkeypatch.setattr(env.consumers[0], "fetch", broken)
        await eventually("the replacement", lambda: len(env.consumers) == 2)
        assert env.consumers[0]._stopped


async def test_consumers_that_fail_like_the_former_one_are_replaced_ever_slower(
    env: BridgeEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure asks how long to wait, and each consumer that has started is told."""
    asked: list[str] = []

    class Pace:
        def __init__(self, _backoff: object) -> None:
            pass

        def started(self, _now: float) -> None:
            asked.append("started")

        def delay(self, _now: float, _jitter: float) -> float:
            asked.append("delay")
            return 0.0

    async def broken(*_: object) -> None:
        raise KafkaUnavailableError("a record that no client reads")

    monkeypatch.setattr(fetcher, "ReplacementPace", Pace)
    monkeypatch.setattr(MemoryConsumer, "fetch", broken)
    async with env.bridge(BridgeOptions(backoff=QUICK)):
        await eventually("replacements", lambda: asked.count("started") >= 4)
    assert asked.count("delay") >= asked.count("started")


async def test_kafka_unavailable_while_a_consumer_is_replaced(env: BridgeEnv, make: RecordFactory) -> None:
    """It is tried until Kafka is back."""
    async with env.bridge(BridgeOptions(backoff=QUICK)):
        env.broker.available = False
        await env.consumers[0].crash()
        await eventually("attempts", lambda: len(env.consumers) > 3, timeout=60)
        env.broker.available = True
        env.broker.append(make.completed())
        await env.settle(1)
    assert env.outcomes() == {"delivered": 1}


async def test_a_dead_letter_topic_that_is_gone_does_not_end_the_bridge(env: BridgeEnv) -> None:
    """No dead letter, no outcome: the record is held, the sentence says what is missing; then it is settled once."""
    topic = "kallback.dead-letters"
    async with env.bridge() as bridge:
        log = env.broker._logs.pop(TopicPartition(topic, 0))
        env.broker.append(OutgoingRecord("kallback.results", b"{}"))
        await eventually("the sentence", lambda: f"kallback topics create {topic}" in str(readiness(bridge).reasons))
        assert (env.settled, env.committed(), bridge.failure) == ([], 0, None)
        env.broker._logs[TopicPartition(topic, 0)] = log
        await env.settle(1)
        assert readiness(bridge).ok
    assert (env.committed(), len(env.dead_letters())) == (1, 1)


async def test_good_results_go_on_while_dead_letters_are_refused(env: BridgeEnv, make: RecordFactory) -> None:
    """Each is posted once; each dead letter is written once when the permission is back."""
    async with env.bridge() as bridge:
        env.broker.denied.add("kallback.dead-letters")
        for _ in range(100):
            env.broker.append(OutgoingRecord("kallback.results", b"no token"))
            env.broker.append(make.completed())
        await env.settle(100)
        assert env.outcomes() == {"delivered": 100}
        assert not readiness(bridge).ok
        assert env.committed() == 0
        env.broker.denied.clear()
        await env.settle(200)
    assert (len(env.posted), sum(each.count for each in env.settled), env.committed()) == (100, 200, 200)


async def test_forged_records_take_no_place_from_good_results_while_dead_letters_are_refused(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """Anyone who may write results could stop a partition otherwise, for as long as the permission is missing."""
    options = BridgeOptions(partition_in_flight=20, max_in_flight=50, fetch_limit=10)
    env.broker.denied.add("kallback.dead-letters")
    async with env.bridge(options) as bridge:
        for _ in range(300):
            env.broker.append(OutgoingRecord("kallback.results", b"no token"))
        env.broker.append(make.completed())
        await env.settle(1)
        assert (len(env.posted), env.committed()) == (1, 0)
        assert not readiness(bridge).ok
        env.broker.denied.clear()
        await env.settle(301)
    assert (len(env.posted), env.committed()) == (1, 301)


async def test_what_is_held_back_is_bounded_and_pauses_its_partition(env: BridgeEnv, make: RecordFactory) -> None:
    """A good result behind it is read when the dead letters are written, and nothing is lost."""
    options = BridgeOptions(consumer=ConsumerOptions(window=50))
    for _ in range(200):
        env.broker.append(make.completed(make.sign(make.token(deadline=-3600.0))))
    env.broker.append(make.completed())
    env.broker.denied.add("kallback.dead-letters")
    async with env.bridge(options) as bridge:
        await eventually("the bound", lambda: bridge.stats.in_flight >= 50 and bridge.stats.write_retries > 0)
        assert bridge.stats.fetched <= 50
        env.broker.denied.clear()
        await env.settle(201)
    assert (env.outcomes(), env.committed()) == ({"late": 200, "delivered": 1}, 201)


async def test_an_outcomes_topic_that_refuses_does_not_end_the_bridge(env: BridgeEnv, make: RecordFactory) -> None:
    """The result is delivered, and not done before its outcome is durable; it is posted once."""
    async with env.bridge(BridgeOptions(outcomes=True)) as bridge:
        env.broker.denied.add("kallback.outcomes")
        env.broker.append(make.completed())
        await eventually("the sentence", lambda: "kallback.outcomes" in str(readiness(bridge).reasons))
        assert env.settled == []
        env.broker.denied.clear()
        await env.settle(1)
    assert (len(env.posted), env.committed(), len(env.broker.records("kallback.outcomes"))) == (1, 1, 1)


async def test_a_topic_that_takes_not_even_small_records_does_not_end_the_bridge(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """An operator raises `max.message.bytes`, and what was held is written."""
    async with env.bridge(BridgeOptions(outcomes=True)) as bridge:
        env.broker._largest["kallback.outcomes"] = 10
        env.broker.append(make.completed())
        await eventually("a refusal", lambda: bridge.stats.write_retries > 0)
        assert bridge.failure is None
        assert "'kallback.outcomes' takes not even small records" in str(readiness(bridge).reasons)
        env.broker._largest["kallback.outcomes"] = 1_000_000
        await env.settle(1)
        assert readiness(bridge).ok
    assert env.committed() == 1


async def test_a_permission_that_is_withdrawn_stops_the_bridge(
    env: BridgeEnv, make: RecordFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetcher that ended in silence would look like an empty topic."""

    async def denied(*_: object) -> None:
        raise AccessDeniedError("grant READ on the topic")

    bridge = env.bridge()
    await bridge.start()
    monkeypatch.setattr(env.consumers[0], "fetch", denied)
    env.broker.append(make.completed())
    with pytest.raises(AccessDeniedError, match="grant READ"):
        await asyncio.wait_for(bridge.wait(), 60)
    await bridge.stop()


async def test_kafka_unavailable_at_the_start(env: BridgeEnv) -> None:
    """A wrong address shows at once, and leaves nothing running."""
    env.broker.available = False
    with pytest.raises(KafkaUnavailableError):
        await env.bridge().start()
