"""Each alert of a bridge in `deploy/alerts.yml`: a simulated bridge in that trouble shows its metrics in alarm.

`tests/unit/deploy/firing_alerts.yml` shows that Prometheus then fires it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
import yaml
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import AUDIENCE, NOW
from tests.unit.bridge.observability.test_metrics import scrape

from kallback.bridge import Bridge, BridgeOptions, Retry
from kallback.bridge.progress.monitor_client import SendResult
from kallback.bridge.restate.services import ServiceAnswer, ServiceState
from kallback.kafka import GroupStatus, OutgoingRecord, TopicPartition
from kallback.kafka.group_status import NO_GROUP, OpenTransaction
from kallback.protocol import Keyring, Signal, progress_headers
from kallback.settings import DeadLetterSettings
from kallback.testing.polling import eventually

GROUPS = yaml.safe_load((Path(__file__).parents[4] / "deploy" / "alerts.yml").read_text())["groups"]
HERE: Final = ("0", AUDIENCE)
PARTITION: Final = TopicPartition(AUDIENCE, 0)
PROGRESS: Final = TopicPartition("kallback.progress", 0)
FORGER: Final = Keyring({"k1": b"2" * 32})

Sample = tuple[str, tuple[str, ...]]
Trouble = tuple[Bridge, Sample, float]
Alarm = Callable[[BridgeEnv, pytest.MonkeyPatch], AbstractAsyncContextManager[Trouble]]
"""A bridge in trouble, the sample that shows it, and the value that it must reach."""


@asynccontextmanager
async def not_ready(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """It has not started."""
    yield env.bridge(), ("ready", ()), 0


@asynccontextmanager
async def restate_unavailable(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """Nothing answers at Restate's address."""
    env.reply = lambda _: Retry("unreachable", "refused")
    for _ in range(20):
        env.broker.append(env.make.completed())
    async with env.bridge(BridgeOptions(drain_timeout=0.0)) as bridge:
        yield bridge, ("restate_available", ()), 0


@asynccontextmanager
async def results_wait(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """Restate answers nothing while results are written."""
    env.hold.clear()
    async with env.bridge(BridgeOptions(drain_timeout=0.0)) as bridge:
        for _ in range(1_001):
            env.broker.append(env.make.completed())
        yield bridge, ("partition_lag_records", HERE), 1_001


def with_status(patch: pytest.MonkeyPatch, bridge: Bridge, which: str, changes: Mapping[str, object]) -> None:
    """Let a consumer's status say what only a real Kafka can cause."""
    real: Callable[[], GroupStatus | None] = getattr(bridge, which)

    def status() -> GroupStatus:
        return msgspec.structs.replace(real() or NO_GROUP, **changes)

    patch.setattr(bridge, which, status)


def of_kafka(which: str, sample: Sample, value: float, changes: Mapping[str, object]) -> Alarm:
    """A bridge whose consumer of results or of progress has this trouble."""

    @asynccontextmanager
    async def alarm(env: BridgeEnv, patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
        async with env.bridge() as bridge:
            with_status(patch, bridge, which, changes)
            yield bridge, sample, value

    return alarm


@asynccontextmanager
async def stuck_records(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """A completion does not end, and Restate is not held to be unavailable."""
    env.hold.clear()
    env.broker.append(env.make.completed())
    async with env.bridge(BridgeOptions(drain_timeout=0.0)) as bridge:
        await eventually("one in flight", lambda: len(env.posted) == 1)
        assert scrape(bridge)["stuck_records", ()] == 0
        env.monotonic += bridge.options.stuck_after + 1
        assert scrape(bridge)["restate_available", ()] == 1
        yield bridge, ("stuck_records", ()), 1


@asynccontextmanager
async def dead_letters(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """A result that is no JSON."""
    async with env.bridge() as bridge:
        assert scrape(bridge)["dead_letters_total", ("not-json",)] == 0
        env.broker.append(env.make.completed(value=b"oops"))
        yield bridge, ("dead_letters_total", ("not-json",)), 1


@asynccontextmanager
async def forged_results(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """More than dead letters are written for."""
    env.letters = DeadLetterSettings(per_second=1)
    async with env.bridge() as bridge:
        assert scrape(bridge)["summarized_records_total", ("wrong-tag",)] == 0
        for _ in range(30):
            env.broker.append(env.make.completed(env.make.sign(keyring=FORGER)))
        yield bridge, ("summarized_records_total", ("wrong-tag",)), 20


@asynccontextmanager
async def progress_refused(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """`TaskMonitor` does not verify its token."""
    env.monitor_client.answer = SendResult.REFUSED
    async with env.bridge() as bridge:
        assert scrape(bridge)["progress_total", ("refused",)] == 0
        headers = progress_headers(env.make.sign(), Signal.HEARTBEAT, int(NOW * 1000), 1000)
        env.broker.append(OutgoingRecord("kallback.progress", b"", b"key", headers))
        yield bridge, ("progress_total", ("refused",)), 1


@asynccontextmanager
async def retried_completions(env: BridgeEnv, _patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """One in two is not accepted at the first try."""
    accepted, tries = env.reply, iter(range(1_000))
    env.reply = lambda it: Retry("503", "busy") if next(tries) % 2 == 0 else accepted(it)
    async with env.bridge() as bridge:
        assert scrape(bridge)["completion_retries_total", ()] == 0
        env.broker.append(env.make.completed())
        yield bridge, ("completion_retries_total", ()), 1


@asynccontextmanager
async def service_taken_over(env: BridgeEnv, patch: pytest.MonkeyPatch) -> AsyncGenerator[Trouble]:
    """`TaskMonitor` verified its tokens at the start, and does not any more."""
    patch.setattr("kallback.bridge.service_watch._INTERVAL_S", 0.005)
    env.services = [ServiceAnswer("TaskMonitor", ServiceState.OWN)]
    async with env.bridge() as bridge:
        assert scrape(bridge)["service_taken_over", ()] == 0
        env.services = [ServiceAnswer("TaskMonitor", ServiceState.FOREIGN, takes_progress=True)]
        yield bridge, ("service_taken_over", ()), 1


STALLED: Final = {"stalled": frozenset({PARTITION})}
OPEN: Final = {"open_transactions": dict.fromkeys((PARTITION, PROGRESS), OpenTransaction(3, 5, 12.0))}
ALARMS: Final[dict[str, Alarm]] = {
    "KallbackBridgeNotReady": not_ready,
    "KallbackRestateUnavailable": restate_unavailable,
    "KallbackResultsWait": results_wait,
    "KallbackBridgePartitionStalled": of_kafka("group_status", ("partitions_stalled", ()), 1, STALLED),
    "KallbackOpenTransaction": of_kafka("group_status", ("partition_open_transaction_seconds", HERE), 12, OPEN),
    "KallbackSkippedRecords": of_kafka("group_status", ("skipped_offsets_total", ()), 7, {"skipped_offsets": 7}),
    "KallbackStuckRecords": stuck_records,
    "KallbackDeadLetters": dead_letters,
    "KallbackForgedResults": forged_results,
    "KallbackServiceTakenOver": service_taken_over,
    "KallbackProgressRefused": progress_refused,
    "KallbackRetriedCompletions": retried_completions,
}


@pytest.mark.parametrize("alert", ALARMS)
async def test_a_bridge_in_trouble_shows_it(alert: str, env: BridgeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter is at 0 before, so that Prometheus sees its first increase."""
    async with ALARMS[alert](env, monkeypatch) as (bridge, sample, value):

        def in_alarm() -> bool:
            return scrape(bridge).get(sample) == value

        await eventually(f"{sample} at {value}", in_alarm, timeout=30)


@pytest.mark.parametrize(
    ("sample", "value", "changes"),
    [
        (("partitions_stalled", ()), 1, STALLED),
        (("partition_open_transaction_seconds", ("0", PROGRESS.topic)), 12, OPEN),
        (("skipped_offsets_total", ()), 7, {"skipped_offsets": 7}),
    ],
)
async def test_trouble_with_the_progress_topic_shows_as_well(
    env: BridgeEnv, monkeypatch: pytest.MonkeyPatch, sample: Sample, value: float, changes: Mapping[str, object]
) -> None:
    """Without progress, lost workers are not noticed."""
    async with of_kafka("progress_status", sample, value, changes)(env, monkeypatch) as (bridge, _, _):
        await eventually("it", lambda: scrape(bridge).get(sample) == value, timeout=30)


def test_each_alert_is_shown() -> None:
    """Only a bridge that is not there has no metric to show."""
    (rules,) = (group["rules"] for group in GROUPS if group["name"] == "kallback-bridge")
    assert {rule["alert"] for rule in rules} - {"KallbackNoBridge"} == set(ALARMS)
