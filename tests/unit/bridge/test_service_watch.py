"""Services of another environment: at the start, later, and after they were the bridge's own."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import NOW, RecordFactory

from kallback.bridge.restate.services import ServiceAnswer, ServiceState
from kallback.bridge.stats import ProgressOutcome
from kallback.kafka import OutgoingRecord
from kallback.protocol import ConfigurationError, Signal, progress_headers
from kallback.testing.log_capture import capture_logs
from kallback.testing.polling import eventually

OWN = ServiceAnswer("TaskMonitor", ServiceState.OWN)
FOREIGN = ServiceAnswer("TaskMonitor", ServiceState.FOREIGN, "signing key 'k9' is not known here", takes_progress=True)
MISSING = ServiceAnswer("TaskMonitor", ServiceState.MISSING)
UNKNOWN = ServiceAnswer("TaskMonitor", ServiceState.UNKNOWN, "no answer")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services are asked again at once."""
    monkeypatch.setattr("kallback.bridge.service_watch._INTERVAL_S", 0.005)


async def test_a_bridge_does_not_start_with_services_of_another_environment(env: BridgeEnv) -> None:
    """Nothing is fetched, and the sentence says what to set."""
    env.services = [FOREIGN]
    with pytest.raises(ConfigurationError, match=r"TaskMonitor at .* KALLBACK_TOPICS_PREFIX"):
        await env.bridge().start()
    assert env.consumers == []


@pytest.mark.parametrize("first", [MISSING, UNKNOWN])
async def test_a_bridge_waits_for_services_that_are_not_there(env: BridgeEnv, first: ServiceAnswer) -> None:
    """The first answer that comes decides."""
    env.services = [first]
    async with env.bridge() as bridge:
        env.services = [FOREIGN]
        with pytest.raises(ConfigurationError, match="does not verify this bridge's tokens"):
            await asyncio.wait_for(bridge.wait(), 60)


async def test_progress_that_a_service_refuses_since_it_was_taken_over_is_counted(
    env: BridgeEnv, make: RecordFactory
) -> None:
    """The bridge goes on with its results, and says so once."""
    env.services = [OWN]
    with capture_logs() as lines:
        async with env.bridge() as bridge:
            env.services = [FOREIGN]
            await eventually("a service that was taken over", lambda: bridge.stats.services_taken_over, timeout=60)
            headers = progress_headers(make.sign(), Signal.HEARTBEAT, int(NOW * 1000), 1000)
            env.broker.append(OutgoingRecord("kallback.progress", b"", b"key", headers))
            await eventually("it", lambda: bridge.stats.progress[ProgressOutcome.REFUSED] == 1, timeout=60)
            env.services = [OWN]
            await eventually("its return", lambda: bridge.stats.services_taken_over is None, timeout=60)
    assert [line["log_level"] for line in lines if "does not verify" in line["event"]] == ["error"]


async def test_services_of_which_some_are_not_bound_are_named(env: BridgeEnv) -> None:
    """The bridge goes on: results need none of them."""
    env.services = [ServiceAnswer("TaskMonitor", ServiceState.INCOMPLETE, "Restate does not know ConsumedMarks")]
    with capture_logs() as lines:
        async with env.bridge():
            pass
    (line,) = [line for line in lines if "Restate does not know ConsumedMarks" in line["event"]]
    assert "callbacks.app" in line["event"]


async def test_a_service_stays_taken_over_while_it_does_not_answer(env: BridgeEnv) -> None:
    """A question without an answer says nothing; only the service itself says that it is the bridge's own again."""
    env.services = [OWN]
    async with env.bridge() as bridge:
        env.services = [FOREIGN]
        await eventually("a service that was taken over", lambda: bridge.stats.services_taken_over, timeout=60)
        with capture_logs() as lines:
            env.services = [UNKNOWN]
            await eventually("a question without answer", lambda: "it is unknown" in str(lines), timeout=60)
        assert (bridge.stats.services_taken_over is not None, bridge.stats.progress_refused) == (True, True)
        env.services = [OWN]
        await eventually("its return", lambda: bridge.stats.services_taken_over is None, timeout=60)
        assert not bridge.stats.progress_refused


async def test_progress_is_not_refused_when_another_service_was_taken_over(env: BridgeEnv, make: RecordFactory) -> None:
    """`NotifierService` takes none."""
    own, foreign = (ServiceAnswer("NotifierService", state) for state in (ServiceState.OWN, ServiceState.FOREIGN))
    env.services = [OWN, own]
    async with env.bridge() as bridge:
        env.services = [OWN, foreign]
        await eventually("a service that was taken over", lambda: bridge.stats.services_taken_over, timeout=60)
        headers = progress_headers(make.sign(), Signal.HEARTBEAT, int(NOW * 1000), 1000)
        env.broker.append(OutgoingRecord("kallback.progress", b"", b"key", headers))
        await eventually("it", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] == 1, timeout=60)
        assert bridge.stats.progress[ProgressOutcome.REFUSED] == 0
