"""What a bridge does while Restate or Kafka is away, or refuses us."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kallback.bridge import Accepted, Backoff, BridgeOptions, Misconfigured, Retry
from kallback.kafka import OutgoingRecord, TopicPartition
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KafkaUnavailableError,
    MissingTopicError,
    UnsupportedServerError,
)
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually

QUICK = Backoff(first=0.001, longest=0.01)
DOWN = Retry("unreachable", "connection refused")
WRONG = Misconfigured("404", "set KALLBACK_RESTATE_INGRESS_URL to the right address")
DENIED = Misconfigured("401", "set KALLBACK_RESTATE_AUTH_TOKEN to the right key", denied=True)


async def test_while_restate_is_away_fetching_stops_and_nothing_is_lost(world: Any, mint: Any) -> None:
    """A backlog stays in Kafka; when Restate is back, everything is delivered, nothing dead-lettered."""
    world.reply = lambda _: DOWN
    for _ in range(1000):
        world.broker.append(mint.completed())
    options = BridgeOptions(backoff=QUICK, concurrency=8, max_in_flight=100)
    async with world.bridge(options) as bridge:
        await eventually("failures", lambda: bridge.stats.retries > 50, interval=0.002)
        fetched = bridge.stats.fetched
        world.reply = lambda _: Accepted()
        await world.settle(1000)

    assert fetched <= 100
    assert (world.outcomes(), world.dead(), world.committed()) == ({"delivered": 1000}, [], 1000)


async def test_an_outage_narrows_the_valve(world: Any, mint: Any) -> None:
    """However much room there is, no more is taken than the fetch that was under way."""
    world.reply = lambda _: DOWN
    for _ in range(20):
        world.broker.append(mint.completed())
    options = BridgeOptions(backoff=QUICK, concurrency=8, fetch_limit=5, drain_timeout=0.0)
    async with world.bridge(options) as bridge:
        await eventually("the outage", lambda: bridge.stats.retries > 50, interval=0.002)
        for _ in range(100):
            world.broker.append(mint.completed())
        seen = bridge.stats.retries
        await eventually("probes", lambda: bridge.stats.retries > seen + 5, interval=0.002)
        assert bridge.stats.fetched <= 25


async def test_while_restate_is_away_one_probe_at_a_time_goes_out(world: Any, mint: Any) -> None:
    """A server that struggles is not stormed."""
    world.reply = lambda _: DOWN
    for _ in range(50):
        world.broker.append(mint.completed())
    options = BridgeOptions(backoff=Backoff(first=0.01, longest=0.01), concurrency=50, drain_timeout=0.0)
    async with world.bridge(options) as bridge:
        await eventually("the outage", lambda: bridge.stats.attempts >= 50, interval=0.002)
        before = bridge.stats.attempts
        await asyncio.sleep(0.1)
        assert bridge.stats.attempts - before <= 21


async def test_a_lone_record_is_tried_until_restate_is_back(world: Any, mint: Any) -> None:
    """The back-off is capped, so it resumes soon."""
    world.reply = lambda _: DOWN
    world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(backoff=QUICK)) as bridge:
        await eventually("many attempts", lambda: bridge.stats.attempts > 20, interval=0.002)
        world.reply = lambda _: Accepted()
        await world.settle(1)
    assert world.outcomes() == {"delivered": 1}


async def test_retry_after_is_heeded_up_to_a_limit(world: Any, mint: Any) -> None:
    """A server may ask for a pause, not for a year."""
    replies = iter([Retry("429", "slow", after=1e9), Accepted()])
    world.reply = lambda _: next(replies)
    world.broker.append(mint.completed())
    loop = asyncio.get_running_loop()
    async with world.bridge(BridgeOptions(longest_retry_after=0.1, backoff=QUICK)):
        begun = loop.time()
        await world.settle(1)
    assert 0.1 <= loop.time() - begun < 2


async def test_an_outage_is_two_log_lines(world: Any, mint: Any) -> None:
    """One when it begins, one when it ends, whatever number of records failed."""
    world.reply = lambda _: DOWN
    for _ in range(200):
        world.broker.append(mint.completed())
    with capture_logs() as lines:
        async with world.bridge(BridgeOptions(backoff=QUICK)) as bridge:
            await eventually("failures", lambda: bridge.stats.retries > 50, interval=0.002)
            world.reply = lambda _: Accepted()
            await world.settle(200)

    events = [line["event"] for line in lines]
    assert sum("Restate unavailable" in event for event in events) == 1
    assert sum("Restate available again" in event for event in events) == 1
    assert len(events) < 10


@pytest.mark.parametrize(("reply", "kind"), [(WRONG, ConfigurationError), (DENIED, AccessDeniedError)])
async def test_refusals_that_persist_stop_the_bridge(
    world: Any, mint: Any, reply: Misconfigured, kind: type[Exception]
) -> None:
    """After 30 s of nothing else it stops with the sentence; nothing is dead-lettered or committed."""
    world.reply = lambda _: reply
    world.broker.append(mint.completed())
    bridge = world.bridge(BridgeOptions(backoff=QUICK))
    await bridge.start()
    await eventually("refusals", lambda: bridge.stats.retries > 3, interval=0.002)
    world.monotonic = 30.0
    with pytest.raises(kind, match=reply.sentence):
        await asyncio.wait_for(bridge.wait(), 5)
    await bridge.stop()

    assert (world.settled, world.dead(), world.committed()) == ([], [], 0)


@pytest.mark.parametrize("between", [Accepted(), DOWN])
async def test_refusals_that_come_and_go_do_not(world: Any, mint: Any, between: Any) -> None:
    """A success, or a plain outage, in between: the 30 s begin anew."""
    world.reply = lambda _: WRONG
    world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(backoff=QUICK, drain_timeout=0.0)) as bridge:
        await eventually("refusals", lambda: bridge.stats.replies["404"] > 3, interval=0.002)
        world.reply = lambda _: between
        label = between.label
        await eventually("the other reply", lambda: bridge.stats.replies[label] > 0, interval=0.002)
        world.monotonic = 31.0
        world.reply = lambda _: WRONG
        world.broker.append(mint.completed())
        seen = bridge.stats.replies["404"]
        await eventually("more refusals", lambda: bridge.stats.replies["404"] > seen + 3, interval=0.002)
        world.monotonic = 60.0
        await asyncio.sleep(0.05)
        assert not bridge._ending.is_set()


async def test_a_restate_that_comes_back_is_looked_at_again(world: Any, mint: Any) -> None:
    """It may be another one: too old, and the bridge stops."""
    world.reply = lambda _: DOWN
    for _ in range(20):
        world.broker.append(mint.completed())
    bridge = world.bridge(BridgeOptions(backoff=QUICK))
    await bridge.start()
    await eventually("the outage", lambda: bridge.stats.retries > 20, interval=0.002)

    def too_old() -> None:
        raise UnsupportedServerError("too old")

    world.checked = too_old
    world.reply = lambda _: Accepted()
    with pytest.raises(UnsupportedServerError):
        await asyncio.wait_for(bridge.wait(), 5)
    await bridge.stop()


async def test_a_broken_consumer_is_replaced(world: Any, mint: Any) -> None:
    """What was in flight attaches to its second coming, and all is committed."""
    world.hold.clear()
    world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(backoff=QUICK)) as bridge:
        await eventually("the post", lambda: world.posted)
        await world.consumers[0].crash()
        world.broker.append(mint.completed())
        await eventually("the second coming", lambda: bridge.stats.fetched == 3)
        world.hold.set()
        await world.settle(3)

    assert world.outcomes() == {"delivered": 2, "duplicate": 1}
    assert world.committed() == 2


async def test_a_consumer_that_is_replaced_is_stopped(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members of one bridge would share its partitions."""

    async def broken(*_: object) -> None:
        raise KafkaUnavailableError("fatal")

    async with world.bridge(BridgeOptions(backoff=QUICK)):
        monkeypatch.setattr(world.consumers[0], "fetch", broken)
        await eventually("the replacement", lambda: len(world.consumers) == 2)
        assert world.consumers[0]._stopped


async def test_kafka_away_while_a_consumer_is_replaced(world: Any, mint: Any) -> None:
    """It is tried until Kafka is back."""
    async with world.bridge(BridgeOptions(backoff=QUICK)):
        world.broker.available = False
        await world.consumers[0].crash()
        await eventually("attempts", lambda: len(world.consumers) > 3, timeout=5)
        world.broker.available = True
        world.broker.append(mint.completed())
        await world.settle(1)
    assert world.outcomes() == {"delivered": 1}


async def test_a_dead_letter_topic_that_is_gone_stops_the_bridge(world: Any) -> None:
    """No dead letter, no outcome: the record stays, and the sentence says what is missing."""
    bridge = world.bridge()
    await bridge.start()
    del world.broker._logs[TopicPartition("kallback.dead-letters", 0)]
    world.broker.append(OutgoingRecord("kallback.results", b"{}"))
    with pytest.raises(MissingTopicError, match=r"kallback\.dead-letters"):
        await asyncio.wait_for(bridge.wait(), 5)
    await bridge.stop()

    assert (world.settled, world.committed()) == ([], 0)


async def test_a_permission_that_is_withdrawn_stops_the_bridge(
    world: Any, mint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetcher that ended in silence would look like an empty topic."""

    async def denied(*_: object) -> None:
        raise AccessDeniedError("grant READ on the topic")

    bridge = world.bridge()
    await bridge.start()
    monkeypatch.setattr(world.consumers[0], "fetch", denied)
    world.broker.append(mint.completed())
    with pytest.raises(AccessDeniedError, match="grant READ"):
        await asyncio.wait_for(bridge.wait(), 5)
    await bridge.stop()


async def test_kafka_away_at_the_start(world: Any) -> None:
    """A wrong address shows at once, and leaves nothing running."""
    world.broker.available = False
    with pytest.raises(KafkaUnavailableError):
        await world.bridge().start()
