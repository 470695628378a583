"""When a bridge is live, and when it is ready."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kallback.bridge import BridgeOptions, Stats
from kallback.bridge.observability.probes import Liveness, readiness
from kallback.health import Phase
from kallback.kafka import GroupStatus, PartitionStatus, TopicPartition
from kallback.protocol import Outcome


@dataclass
class Fake:
    """A bridge as a test wants it."""

    stats: Stats = field(default_factory=Stats)
    options: BridgeOptions = field(default_factory=BridgeOptions)
    phase: Phase = Phase.RUNNING
    failure: Exception | None = None
    joined: bool = True
    polled: float | None = 0.0
    lags: tuple[int | None, ...] = (3,)
    stalled: frozenset[TopicPartition] = frozenset()
    progress_stalled: frozenset[TopicPartition] = frozenset()
    unanswered: float = 0.0
    now: float = 0.0

    def group_status(self) -> GroupStatus | None:
        """One partition per lag; no consumer when nothing polls."""
        if self.polled is None:
            return None
        partitions = {
            TopicPartition("results", number): PartitionStatus(0, lag, 0, 10) for number, lag in enumerate(self.lags)
        }
        return GroupStatus(self.joined, 1, self.polled, partitions, self.stalled, unanswered=self.unanswered)

    def progress_status(self) -> GroupStatus | None:
        """Another consumer."""
        return GroupStatus(
            joined=True,
            rebalances=1,
            last_poll=0.0,
            partitions={},
            stalled=self.progress_stalled,
            unanswered=self.unanswered + 2.0 if self.unanswered else 0.0,
        )

    def pass_time(self, seconds: float, liveness: Liveness, *, polling: bool = True) -> None:
        """Let time pass with a look every second."""
        for _ in range(int(seconds)):
            self.now += 1.0
            if polling:
                self.polled = self.now
            liveness.look()


@pytest.fixture
def fake() -> Fake:
    """A bridge that is well."""
    return Fake()


@pytest.fixture
def liveness(fake: Fake) -> Liveness:
    """With a patience of 60 s."""
    return Liveness(fake, lambda: fake.now, 60.0)


def test_a_bridge_at_work_is_ready(fake: Fake) -> None:
    """With the numbers that people look for first."""
    verdict = readiness(fake)
    assert (verdict.ok, verdict.reasons, verdict.partitions, verdict.lag) == (True, [], 1, 3)


def test_a_bridge_whose_topic_refuses_writes_is_not_ready_but_alive(fake: Fake, liveness: Liveness) -> None:
    """A restart brings back no permission; the sentence says what does."""
    fake.stats.refused_writes = {"kallback.dead-letters": "add the missing ACL", "kallback.outcomes": None}
    assert readiness(fake).reasons == ["add the missing ACL"]
    assert liveness.verdict().ok


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING, Phase.STOPPED])
def test_not_ready_before_and_after(fake: Fake, phase: Phase) -> None:
    """The reason says which."""
    fake.phase = phase
    verdict = readiness(fake)
    assert not verdict.ok
    assert phase.value in verdict.reasons[0]


def test_not_ready_when_it_cannot_go_on(fake: Fake) -> None:
    """The process is about to end; the reason is the error's sentence."""
    fake.failure = RuntimeError("grant READ")
    assert readiness(fake).reasons == ["the bridge cannot go on: grant READ"]


def test_not_ready_while_a_partition_is_not_read(fake: Fake) -> None:
    """Its results would wait for ever; the reason names it, for results and for progress."""
    fake.stalled = frozenset({TopicPartition("results", 3)})
    fake.progress_stalled = frozenset({TopicPartition("progress", 1)})
    reasons = readiness(fake).reasons
    assert ["results[3]" in reasons[0], "progress[1]" in reasons[1]] == [True, True]


def test_a_spare_bridge_is_ready(fake: Fake) -> None:
    """A member without partitions would take over at once."""
    fake.lags = ()
    verdict = readiness(fake)
    assert (verdict.ok, verdict.partitions, verdict.lag) == (True, 0, 0)


def test_not_ready_before_the_group_answers(fake: Fake) -> None:
    """No share yet."""
    fake.joined = False
    assert "group" in readiness(fake).reasons[0]


def test_silence_of_kafka_is_one_reason(fake: Fake) -> None:
    """It explains the lost partitions, of results and of progress."""
    fake.joined, fake.unanswered = False, 12.0
    assert ["Kafka has not answered for 12 s" in reason for reason in readiness(fake).reasons] == [True]


def test_not_ready_without_a_consumer(fake: Fake) -> None:
    """While Kafka is unavailable."""
    fake.polled = None
    verdict = readiness(fake)
    assert "Kafka" in verdict.reasons[0]
    assert (verdict.partitions, verdict.lag) == (None, None)


def test_not_ready_while_restate_is_unavailable(fake: Fake) -> None:
    """Results wait in Kafka."""
    fake.stats.unavailable = True
    verdict = readiness(fake)
    assert (verdict.restate, len(verdict.reasons)) == ("unavailable", 1)


def test_one_unknown_lag_makes_the_sum_unknown(fake: Fake) -> None:
    """Half a sum would be a lie."""
    fake.lags = (3, None)
    assert readiness(fake).lag == "unknown"


def test_an_idle_bridge_lives(fake: Fake, liveness: Liveness) -> None:
    """Nothing to do is no sign of death, and its time does not count later."""
    fake.pass_time(1000, liveness)
    fake.stats.in_flight = 1
    fake.pass_time(59, liveness)
    assert liveness.verdict().ok


def test_work_that_stands_still_is_death(fake: Fake, liveness: Liveness) -> None:
    """In flight, and for a minute no reply and no settled record."""
    fake.stats.in_flight = 1
    liveness.look()
    fake.pass_time(61, liveness)
    assert "61 s" in liveness.verdict().reasons[0]


@pytest.mark.parametrize("what", ["a reply", "a late handler's reply", "a settled record", "a failed write"])
def test_any_progress_is_life(fake: Fake, liveness: Liveness, what: str) -> None:
    """Failures, too: an outage is no reason to restart."""
    fake.stats.in_flight = 1
    for _ in range(5):
        fake.pass_time(50, liveness)
        if what == "a reply":
            fake.stats.replies["unreachable"] += 1
        elif what == "a late handler's reply":
            fake.stats.late_replies["503"] += 1
        elif what == "a settled record":
            fake.stats.outcomes[Outcome.DELIVERED] += 1
        else:
            fake.stats.write_retries += 1
    assert liveness.verdict().ok


def test_progress_after_a_standstill_is_life_again(fake: Fake, liveness: Liveness) -> None:
    """A verdict is of now."""
    fake.stats.in_flight = 1
    fake.pass_time(100, liveness)
    fake.stats.replies["202"] += 1
    assert liveness.verdict().ok


def test_a_client_that_does_not_poll_is_death(fake: Fake, liveness: Liveness) -> None:
    """Even with nothing in flight: nothing would ever arrive."""
    fake.pass_time(61, liveness, polling=False)
    assert "not polled" in liveness.verdict().reasons[0]


def test_a_long_drain_is_waited_for(fake: Fake) -> None:
    """Within a rebalance the client may not poll for as long as draining takes."""
    fake.options = BridgeOptions(consumer=type(fake.options.consumer)(drain_timeout=100.0))
    liveness = Liveness(fake, lambda: fake.now, 60.0)
    fake.pass_time(110, liveness, polling=False)
    assert liveness.verdict().ok


def test_no_consumer_is_no_death(fake: Fake, liveness: Liveness) -> None:
    """It is being replaced."""
    fake.polled = None
    fake.pass_time(200, liveness, polling=False)
    assert liveness.verdict().ok


def test_not_ready_while_another_environment_has_taken_over_a_service(fake: Fake) -> None:
    """Its operator must act: lost workers are not noticed. The probe says what to do."""
    fake.stats.services_taken_over = "TaskMonitor does not verify this bridge's tokens"
    assert readiness(fake).reasons == ["TaskMonitor does not verify this bridge's tokens"]
