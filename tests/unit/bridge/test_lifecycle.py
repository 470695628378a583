"""Starting, stopping, crashes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kallback.bridge import Accepted, Bridge, BridgeOptions
from kallback.kafka import MemoryBroker
from kallback.protocol import InvalidKeyError, MissingTopicError, UnsupportedServerError
from kallback.settings import Settings
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually


def ours() -> set[str]:
    """Names of our tasks that are running."""
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("kallback-bridge")}


async def test_no_key_no_bridge() -> None:
    """A lost variable does not open the bridge."""
    with pytest.raises(InvalidKeyError, match="KALLBACK_KEYS"):
        Bridge(Settings())


TOPICS = ("kallback.results", "kallback.dead-letters", "kallback.outcomes", "kallback.progress")


@pytest.mark.parametrize("missing", TOPICS)
async def test_a_missing_topic(world: Any, missing: str) -> None:
    """Nothing starts without its topics; the sentence names the command that makes them."""
    world.broker = MemoryBroker()
    for topic in set(TOPICS) - {missing}:
        world.broker.create_topic(topic)
    with pytest.raises(MissingTopicError, match="topics create"):
        await world.bridge(BridgeOptions(outcomes=True)).start()
    assert ours() == set()


async def test_topics_are_not_needed_for_what_is_off(world: Any) -> None:
    """What is switched off need not exist."""
    world.broker = MemoryBroker()
    for topic in ("kallback.results", "kallback.dead-letters"):
        world.broker.create_topic(topic)
    async with world.bridge(BridgeOptions(progress=False)):
        pass


async def test_a_restate_that_is_too_old(world: Any) -> None:
    """Nothing is fetched."""

    def too_old() -> None:
        raise UnsupportedServerError("too old")

    world.checked = too_old
    with pytest.raises(UnsupportedServerError):
        await world.bridge().start()
    assert world.consumers == []


async def test_stopping_twice_leaves_nothing_running(world: Any) -> None:
    """No task of ours outlives the bridge."""
    bridge = world.bridge()
    await bridge.start()
    running = ours()
    await bridge.stop()
    await bridge.stop()
    assert running
    assert ours() == set()


async def test_stopping_what_was_not_started(world: Any) -> None:
    """Fine too."""
    await world.bridge().stop()


async def test_stop_waits_for_what_is_in_flight(world: Any, mint: Any) -> None:
    """A completion on its way is settled and committed."""
    world.hold.clear()
    world.broker.append(mint.completed())
    bridge = world.bridge()
    await bridge.start()
    await eventually("the post", lambda: world.posted)
    stopping = asyncio.create_task(bridge.stop())
    await asyncio.sleep(0.02)
    waited = not stopping.done()
    world.hold.set()
    await stopping

    assert waited
    assert (world.outcomes(), world.committed()) == ({"delivered": 1}, 1)


async def test_stop_does_not_wait_for_ever(world: Any, mint: Any) -> None:
    """What hangs is left, not committed, and said."""
    world.hold.clear()
    world.broker.append(mint.completed())
    bridge = world.bridge(BridgeOptions(drain_timeout=0.01))
    await bridge.start()
    await eventually("the post", lambda: world.posted)
    with capture_logs() as lines:
        await asyncio.wait_for(bridge.stop(), 2)

    assert any(line.get("records") == 1 for line in lines)
    assert (world.committed(), ours()) == (0, set())


async def test_a_second_stop_does_not_drain_again(world: Any, mint: Any) -> None:
    """A SIGTERM stops twice (the signal's stop, then the run's end): that must not take the drain's time twice."""
    world.hold.clear()
    world.broker.append(mint.completed())
    bridge = world.bridge(BridgeOptions(drain_timeout=0.01))
    await bridge.start()
    await eventually("the post", lambda: world.posted)
    with capture_logs() as lines:
        await bridge.stop()
        await bridge.stop()

    assert sum(line.get("event") == "bridge stopped" for line in lines) == 1


async def test_what_was_in_flight_at_a_crash_comes_again(world: Any, mint: Any) -> None:
    """A successor completes it: at least once, never lost."""
    world.hold.clear()
    for _ in range(10):
        world.broker.append(mint.completed())
    first = world.bridge(BridgeOptions(drain_timeout=0.0))
    await first.start()
    await eventually("the posts", lambda: len(world.posted) == 10)
    await world.consumers[0].crash()
    await first.stop()

    world.hold.set()
    async with world.bridge():
        await world.settle(10)
    assert (world.outcomes(), world.committed()) == ({"delivered": 10}, 10)


async def test_a_stop_ends_the_run_and_commits(world: Any, mint: Any) -> None:
    """The daemon ends without an error."""
    world.broker.append(mint.completed())
    bridge = world.bridge()
    running = asyncio.create_task(bridge.run())
    await world.settle(1)
    await bridge.stop()
    await asyncio.wait_for(running, 5)

    assert (world.committed(), ours()) == (1, set())


async def test_a_cancelled_run_stops(world: Any) -> None:
    """Cancelling the daemon's task leaves nothing behind."""
    running = asyncio.create_task(world.bridge().run())
    await eventually("the start", lambda: world.consumers)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ours() == set()


async def test_the_stop_says_what_was_done(world: Any, mint: Any) -> None:
    """One summary line."""
    world.broker.append(mint.completed())
    with capture_logs() as lines:
        async with world.bridge():
            await world.settle(1)
    (line,) = [line for line in lines if line["event"] == "bridge stopped"]
    assert (line["settled"], line["delivered"], line["retries"]) == (1, 1, 0)


async def test_a_hook_with_a_defect_is_not_swallowed(world: Any, mint: Any) -> None:
    """The bridge stops with the hook's own error."""

    def hook(_: object) -> None:
        raise KeyError("hook")

    world.on_settled = hook
    world.broker.append(mint.completed())
    bridge = world.bridge()
    await bridge.start()
    with pytest.raises(KeyError, match="hook"):
        await asyncio.wait_for(bridge.wait(), 5)
    await bridge.stop()


async def test_insecure_mode_is_said(world: Any) -> None:
    """One warning at the start."""
    world.insecure = True
    with capture_logs() as lines:
        async with world.bridge():
            pass
    assert any("insecure mode" in line["event"] for line in lines)


async def test_a_lone_result_is_posted_at_once(world: Any, mint: Any) -> None:
    """No batch is waited for."""
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    appended = 0.0

    def reply(_: object) -> Accepted:
        delays.append(loop.time() - appended)
        return Accepted()

    world.reply = reply
    async with world.bridge():
        for count in range(1, 21):
            appended = loop.time()
            world.broker.append(mint.completed())
            await world.settle(count)
    assert sorted(delays)[10] < 0.005


async def test_memory_stays_bounded(world: Any, mint: Any) -> None:
    """With everything stuck, no more than the bound is taken from Kafka."""
    world.hold.clear()
    for _ in range(500):
        world.broker.append(mint.completed())
    async with world.bridge(BridgeOptions(max_in_flight=50, fetch_limit=20, drain_timeout=0.0)) as bridge:
        await eventually("a full bridge", lambda: bridge.stats.in_flight == 50)
        await asyncio.sleep(0.02)
        assert bridge.stats.fetched == 50


async def test_the_log_keeps_secrets(world: Any, mint: Any) -> None:
    """No token, however bad its record, stands in a log line."""
    text = mint.sign()
    world.broker.append(mint.completed(text, b"oops"))
    with capture_logs() as lines:
        async with world.bridge():
            await world.settle(1)
    assert text not in str(lines)
    assert text.rsplit(":", 1)[1] not in str(lines)
