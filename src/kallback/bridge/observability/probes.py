"""What `/livez` and `/readyz` answer, and why. Synchronous: the health port asks at each request, and once a second.

*Live* means that a restart would not help: the event loop runs (otherwise there is no answer), the Kafka client polls,
and with records in flight something happens: a reply of Restate, a settled record, a write to Kafka that succeeds or
fails. Outages of Kafka and Restate are no reason to restart, so they never make a bridge dead.

*Ready* means that results are completed now: started and not draining, nothing has failed, a member of the group
(perhaps a spare one, without partitions), every partition that has records is read, Restate has answered and is
available, every service that it calls its own (a `TaskMonitor` of another environment notices none of its lost
workers), and no topic that it writes to refuses its records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from kallback.bridge.options import BridgeOptions
from kallback.bridge.stats import Stats
from kallback.health import Phase, ProbeResult
from kallback.kafka import GroupStatus

STUCK_AFTER: Final = 60.0
"""Seconds without progress: several times the longest request timeout and the longest wait between attempts."""
_REBALANCE_MARGIN_S: Final = 20.0
_NO_SHARE: Final = "the consumer group has not assigned partitions to this bridge yet"
_UNSEEN: Final = (
    "Restate has not answered since the start: check that it runs, and that KALLBACK_RESTATE_INGRESS_URL names its "
    "ingress"
)
_SHARE_LOST: Final = (
    "the bridge has lost its partitions and joins its group again, when Kafka answers and has ended the former session"
)


class ObservedBridge(Protocol):
    """A bridge, as its probes and metrics see it."""

    @property
    def stats(self) -> Stats:
        """Counters."""
        ...

    @property
    def options(self) -> BridgeOptions:
        """How it behaves."""
        ...

    @property
    def failure(self) -> Exception | None:
        """Why it cannot go on; None while it can."""
        ...

    @property
    def phase(self) -> Phase:
        """Where in its life it is."""
        ...

    def group_status(self) -> GroupStatus | None:
        """Return its status in the group that reads results; None while it has no consumer."""
        ...

    def progress_status(self) -> GroupStatus | None:
        """Return its status in the group that reads progress; None without such a consumer."""
        ...


class BridgeProbeResult(ProbeResult, frozen=True, kw_only=True):
    """What a probe of a bridge says.

    Attributes:
        in_flight: records fetched and not settled.
        restate: `available` or `unavailable`.
    """

    in_flight: int
    restate: str


def readiness(bridge: ObservedBridge) -> BridgeProbeResult:
    """Return whether results are completed now."""
    status, reasons = bridge.group_status(), list[str]()
    if bridge.failure is not None:
        reasons.append(f"the bridge cannot go on: {bridge.failure}")
    if bridge.phase is not Phase.RUNNING:
        reasons.append(f"the bridge is {bridge.phase}")
    elif status is None:
        reasons.append("Kafka is unavailable: the consumer is being replaced")
    elif not status.joined and status.stall_reason() is None:
        reasons.append(_SHARE_LOST if status.rebalances else _NO_SHARE)
    consumers = [each for each in (status, bridge.progress_status()) if each is not None]
    silent = next((each for each in consumers if each.is_silent), None)
    for each in consumers if silent is None else [silent]:  # both read from the same Kafka
        if stalled := each.stall_reason():
            reasons.append(stalled)
    if outage := _outage(bridge.stats):
        reasons.append(outage)
    if bridge.stats.services_taken_over:
        reasons.append(bridge.stats.services_taken_over)
    reasons += [sentence for sentence in bridge.stats.refused_writes.values() if sentence]
    return _result(bridge, reasons)


class Liveness:
    """Remembers since when nothing has happened.

    Args:
        monotonic: the clock of `GroupStatus.last_poll`.
        stuck_after: seconds.
    """

    def __init__(
        self, bridge: ObservedBridge, monotonic: Callable[[], float], stuck_after: float = STUCK_AFTER
    ) -> None:
        self._bridge = bridge
        self._monotonic = monotonic
        self._stuck_after = stuck_after
        rebalance = bridge.options.consumer.drain_timeout + _REBALANCE_MARGIN_S  # polling stops meanwhile
        self._poll_timeout = max(stuck_after, rebalance)
        self._moved_at = monotonic()
        self._seen = -1

    def look(self) -> None:
        """Note whether something happened since the last look."""
        stats = self._bridge.stats
        happened = stats.settled + stats.replies.total() + stats.late_replies.total() + stats.write_retries
        if happened != self._seen or not (stats.in_flight or stats.set_aside):
            self._seen, self._moved_at = happened, self._monotonic()

    def verdict(self) -> BridgeProbeResult:
        """Return whether the bridge makes progress, or has nothing to do."""
        self.look()
        now, status, reasons = self._monotonic(), self._bridge.group_status(), list[str]()
        if status is not None and now - status.last_poll > self._poll_timeout:
            reasons.append(f"the Kafka client has not polled for {now - status.last_poll:.0f} s")
        if now - self._moved_at > self._stuck_after:
            reasons.append(f"records are in flight, and nothing has happened for {now - self._moved_at:.0f} s")
        return _result(self._bridge, reasons)


def _result(bridge: ObservedBridge, reasons: list[str]) -> BridgeProbeResult:
    status = bridge.group_status()
    return BridgeProbeResult(
        ok=not reasons,
        reasons=reasons,
        phase=bridge.phase,
        in_flight=bridge.stats.in_flight,
        partitions=None if status is None else len(status.partitions),
        lag=None if status is None else status.lag,
        restate="unavailable" if _outage(bridge.stats) else "available",
    )


def _outage(stats: Stats) -> str | None:
    """Say why Restate takes nothing now; None if it does, as far as known."""
    if stats.undelivered:
        return stats.undelivered
    if stats.unavailable:
        return "Restate is unavailable: fetching is paused"
    return _UNSEEN if stats.restate_unseen else None


class BridgeProbes:
    """The probes of a bridge, for the health port."""

    def __init__(self, bridge: ObservedBridge, monotonic: Callable[[], float], stuck_after: float) -> None:
        self._bridge = bridge
        self._liveness = Liveness(bridge, monotonic, stuck_after)

    def look(self) -> None:
        """Note whether something happened."""
        self._liveness.look()

    def live(self) -> BridgeProbeResult:
        """Return whether a restart would not help."""
        return self._liveness.verdict()

    def ready(self) -> BridgeProbeResult:
        """Return whether results are completed now."""
        return readiness(self._bridge)
