"""Starting, stopping, crashes."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Bridge, BridgeOptions, Settled
from kallback.bridge.observability.probes import readiness
from kallback.health import Phase
from kallback.kafka import MemoryBroker
from kallback.lifecycle import UnexpectedEndError
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
async def test_a_missing_topic(env: BridgeEnv, missing: str) -> None:
    """Nothing starts without its topics; the sentence names the command that makes them."""
    env.broker = MemoryBroker()
    for topic in set(TOPICS) - {missing}:
        env.broker.create_topic(topic)
    with pytest.raises(MissingTopicError, match="topics create"):
        await env.bridge(BridgeOptions(outcomes=True)).start()
    assert ours() == set()


async def test_topics_are_not_needed_for_what_is_off(env: BridgeEnv) -> None:
    """What is switched off need not exist."""
    env.broker = MemoryBroker()
    for topic in ("kallback.results", "kallback.dead-letters"):
        env.broker.create_topic(topic)
    async with env.bridge(BridgeOptions(progress=False)):
        pass


async def test_a_restate_that_is_too_old(env: BridgeEnv) -> None:
    """Nothing is fetched."""

    def too_old() -> None:
        raise UnsupportedServerError("too old")

    env.checked = too_old
    with pytest.raises(UnsupportedServerError):
        await env.bridge().start()
    assert env.consumers == []


async def test_stopping_twice_leaves_nothing_running(env: BridgeEnv) -> None:
    """No task of ours outlives the bridge."""
    bridge = env.bridge()
    await bridge.start()
    running = ours()
    await bridge.stop()
    await bridge.stop()
    assert running
    assert ours() == set()


async def test_stopping_what_was_not_started(env: BridgeEnv) -> None:
    """Fine too."""
    await env.bridge().stop()


async def test_a_stop_during_the_start_ends_the_start_and_leaves_nothing_running(env: BridgeEnv) -> None:
    """Whatever the start waits for: a bridge that was stopped never fetches."""
    waits, asked = asyncio.Event(), asyncio.Event()

    async def wait(*_: object) -> bool:
        asked.set()
        await waits.wait()
        return True

    env.check = wait  # type: ignore[method-assign]
    bridge = env.bridge()
    starting = asyncio.create_task(bridge.start())
    await asyncio.wait_for(asked.wait(), 60)
    await asyncio.wait_for(bridge.stop(), 60)
    await asyncio.wait_for(starting, 60)
    assert (env.consumers, ours(), bridge.phase) == ([], set(), Phase.STOPPED)


async def test_stop_waits_for_what_is_in_flight(env: BridgeEnv, make: RecordFactory) -> None:
    """A completion on its way is settled and committed."""
    env.hold.clear()
    env.broker.append(make.completed())
    bridge = env.bridge()
    await bridge.start()
    await eventually("the post", lambda: env.posted)
    stopping = asyncio.create_task(bridge.stop())
    await asyncio.sleep(0.02)
    waited = not stopping.done()
    env.hold.set()
    await stopping

    assert waited
    assert (env.outcomes(), env.committed()) == ({"delivered": 1}, 1)


async def test_stop_does_not_wait_for_ever(env: BridgeEnv, make: RecordFactory) -> None:
    """What hangs is left, not committed, and said."""
    env.hold.clear()
    env.broker.append(make.completed())
    bridge = env.bridge(BridgeOptions(drain_timeout=0.01))
    await bridge.start()
    await eventually("the post", lambda: env.posted)
    with capture_logs() as lines:
        await asyncio.wait_for(bridge.stop(), 60)

    assert any(line.get("records") == 1 for line in lines)
    assert (env.committed(), ours()) == (0, set())


async def test_a_second_stop_does_not_drain_again(env: BridgeEnv, make: RecordFactory) -> None:
    """A SIGTERM stops twice (the signal's stop, then the run's end): that must not take the drain's time twice."""
    env.hold.clear()
    env.broker.append(make.completed())
    bridge = env.bridge(BridgeOptions(drain_timeout=0.01))
    await bridge.start()
    await eventually("the post", lambda: env.posted)
    with capture_logs() as lines:
        await bridge.stop()
        await bridge.stop()

    assert sum(line.get("event") == "bridge stopped" for line in lines) == 1


async def test_what_was_in_flight_at_a_crash_comes_again(env: BridgeEnv, make: RecordFactory) -> None:
    """A successor completes it: at least once, never lost."""
    env.hold.clear()
    for _ in range(10):
        env.broker.append(make.completed())
    first = env.bridge(BridgeOptions(drain_timeout=0.0))
    await first.start()
    await eventually("the posts", lambda: len(env.posted) == 10)
    await env.consumers[0].crash()
    await first.stop()

    env.hold.set()
    async with env.bridge():
        await env.settle(10)
    assert (env.outcomes(), env.committed()) == ({"delivered": 10}, 10)


async def test_a_stop_ends_the_run_and_commits(env: BridgeEnv, make: RecordFactory) -> None:
    """The daemon ends without an error."""
    env.broker.append(make.completed())
    bridge = env.bridge()
    running = asyncio.create_task(bridge.run())
    await env.settle(1)
    await bridge.stop()
    await asyncio.wait_for(running, 60)

    assert (env.committed(), ours()) == (1, set())


async def test_a_cancelled_run_stops(env: BridgeEnv) -> None:
    """Cancelling the daemon's task leaves nothing behind."""
    running = asyncio.create_task(env.bridge().run())
    await eventually("the start", lambda: env.consumers)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ours() == set()


async def test_the_stop_says_what_was_done(env: BridgeEnv, make: RecordFactory) -> None:
    """One summary line."""
    env.broker.append(make.completed())
    with capture_logs() as lines:
        async with env.bridge():
            await env.settle(1)
    (line,) = [line for line in lines if line["event"] == "bridge stopped"]
    assert (line["settled"], line["delivered"], line["retries"]) == (1, 1, 0)


async def test_a_hook_with_a_defect_is_not_swallowed(env: BridgeEnv, make: RecordFactory) -> None:
    """The bridge stops with the hook's own error."""

    def hook(_: object) -> None:
        raise KeyError("hook")

    env.on_settled = hook
    env.broker.append(make.completed())
    bridge = env.bridge()
    await bridge.start()
    with pytest.raises(KeyError, match="hook"):
        await asyncio.wait_for(bridge.wait(), 60)
    await bridge.stop()


async def test_a_hook_with_a_defect_does_not_end_the_writers(env: BridgeEnv, make: RecordFactory) -> None:
    """On the dead-letter path: the error is reported, every record is settled, and no partition stops."""

    def hook(settled: Settled) -> None:
        env.settled.append(settled)
        raise KeyError("hook")

    env.on_settled = hook
    bridge = env.bridge(BridgeOptions(writers=1))
    await bridge.start()
    for _ in range(5):
        env.broker.append(make.completed(value=b"oops"))
    with pytest.raises(KeyError, match="hook"):
        await asyncio.wait_for(bridge.wait(), 60)
    await env.settle(5)
    await bridge.stop()
    assert (env.outcomes(), env.committed()) == ({"unusable": 5}, 5)


class _PanicError(BaseException):
    """As an extension written in Rust raises: no `Exception`."""


@pytest.mark.parametrize("batch_limit", [1, 50])
@pytest.mark.parametrize("error", [_PanicError("hook"), asyncio.CancelledError("hook"), GeneratorExit("hook")])
async def test_a_hook_that_raises_no_exception_is_not_swallowed(
    env: BridgeEnv, make: RecordFactory, error: BaseException, batch_limit: int
) -> None:
    """Where a reply of Restate settles its records: the others of it are settled, too, and the bridge stops."""

    def hook(settled: Settled) -> None:
        env.settled.append(settled)
        raise error

    env.on_settled = hook
    for _ in range(3):
        env.broker.append(make.completed())
    bridge = env.bridge(batch_limit=batch_limit)
    await bridge.start()
    with pytest.raises(UnexpectedEndError, match=r"on_settled ended unexpectedly.*hook"):
        await asyncio.wait_for(bridge.wait(), 60)
    await env.settle(3)
    await bridge.stop()
    assert (env.outcomes(), env.committed()) == ({"delivered": 3}, 3)


async def test_a_task_that_ends_by_itself_stops_the_bridge(env: BridgeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetcher that ended in silence would look like an empty topic; readiness says so, too."""
    bridge = env.bridge()
    await bridge.start()
    monkeypatch.setattr(env.consumers[0], "fetch", _cancelled_elsewhere)
    env.broker.append(env.make.completed())
    with pytest.raises(SystemError, match="a panic"):
        await asyncio.wait_for(bridge.wait(), 60)
    assert "cannot go on" in readiness(bridge).reasons[0]
    await bridge.stop()


async def _cancelled_elsewhere(*_: object) -> None:
    raise SystemError("a panic of an extension")


async def test_a_component_that_hangs_does_not_hold_the_stop(env: BridgeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named in the log, and the others are stopped."""

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("kallback.bridge.bridge._STOP_TIMEOUT_S", 0.05)
    bridge = env.bridge()
    await bridge.start()
    monkeypatch.setattr(env.consumers[0], "stop", hang)
    with capture_logs() as lines:
        await asyncio.wait_for(bridge.stop(), 60)
    assert [line["part"] for line in lines if line["event"] == "a component did not stop in time"] == ["fetcher"]
    assert ours() == set()


async def test_insecure_mode_is_said(env: BridgeEnv) -> None:
    """One warning at the start."""
    env.insecure = True
    with capture_logs() as lines:
        async with env.bridge():
            pass
    assert any("insecure mode" in line["event"] for line in lines)


async def test_a_lone_result_is_posted_alone(env: BridgeEnv, make: RecordFactory) -> None:
    """No other one is waited for, though many fit into a request."""
    async with env.bridge(batch_limit=100):
        for count in range(1, 21):
            env.broker.append(make.completed())
            await env.settle(count)
            assert len(env.posted) == count


async def test_memory_stays_bounded(env: BridgeEnv, make: RecordFactory) -> None:
    """With everything stuck, no more than the bound is taken from Kafka."""
    env.hold.clear()
    for _ in range(500):
        env.broker.append(make.completed())
    async with env.bridge(BridgeOptions(max_in_flight=50, fetch_limit=20, drain_timeout=0.0)) as bridge:
        await eventually("a full bridge", lambda: bridge.stats.in_flight == 50)
        await asyncio.sleep(0.02)
        assert bridge.stats.fetched == 50


async def test_the_log_keeps_secrets(env: BridgeEnv, make: RecordFactory) -> None:
    """No token, however bad its record, stands in a log line."""
    text = make.sign()
    env.broker.append(make.completed(text, b"oops"))
    with capture_logs() as lines:
        async with env.bridge():
            await env.settle(1)
    assert text not in str(lines)
    assert text.rsplit(":", 1)[1] not in str(lines)
