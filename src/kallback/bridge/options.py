"""How one bridge behaves: frozen, each field with unit, default and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from kallback.bridge.results.late_policy import LatePolicies
from kallback.kafka import ConsumerOptions
from kallback.protocol.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waiting between attempts: doubles from `first` up to `longest`, each time between half and all of it.

    Attributes:
        first: seconds after the first failure. Default 0.05: most hiccups of Restate are shorter.
        longest: seconds at most. Default 0.5: a probe that came just too early and the next one together are still
            less than a second after Restate's return.
    """

    first: float = 0.05
    longest: float = 0.5

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row (at least 1), for a random number of [0, 1)."""
        grown = self.first * 2.0 ** min(failures - 1, 30)
        return min(self.longest, grown) * (0.5 + chance / 2)


def bridge_member() -> ConsumerOptions:
    """How a bridge is a member of its group, unless it is told otherwise.

    Heartbeats come from librdkafka's own thread, so a short session (6 s, the least that brokers allow by default)
    is safe, and a bridge that is killed is replaced after about 4 s. What is in flight when a partition goes gets 5 s.
    """
    return ConsumerOptions(session_timeout=6.0, drain_timeout=5.0)


class CompleterName(StrEnum):
    """How completions reach Restate."""

    INGRESS = "ingress"
    """One request to HTTP ingress for each result: no set-up."""
    NOTIFIER = "notifier"
    """Batches to `NotifierService`, which a Restate service must have bound: the least CPU for each result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOptions:
    """How one bridge behaves.

    Attributes:
        group: consumer group; bridges of one group share the results topic's partitions. Default: the results
            topic's name and `.bridge`, so that environments on one Kafka never rebalance each other.
        consumer: how the consumer behaves; see `ConsumerOptions` and `bridge_member`.
        completer: how completions reach Restate; see `CompleterName`. Default ingress: it needs no set-up.
        concurrency: requests under way to Restate (the notifier uses four at most). Default 64: on two cores the
            rate no longer grows beyond that.
        max_in_flight: result records fetched and not settled. Default 4,000: less than half a second of work at
            full speed, so that a pause of the broker does not show, and little to send again after a crash.
        max_in_flight_bytes: the same in bytes of their values. Default 64 MiB, to stay in small containers.
        partition_in_flight: the same of one partition. Default 1,000: enough to drain one partition at full speed,
            and a quarter of all, so that one full of records that cannot be completed leaves room for the others.
        partition_in_flight_bytes: the same in bytes of keys and values. Default 16 MiB, a quarter of all.
        fetch_limit: records taken from Kafka at once. Default 250: the event loop is busy with deciding on a
            batch for about 5 ms.
        delivered_window: tokens remembered as delivered, so that duplicates are not posted again. Default 50,000:
            a few seconds of full load at about 10 MB; after it a duplicate is posted again, which is harmless.
        late_grace: seconds after the deadline in which a result is still posted. Default 30, the wire's: clocks
            differ, and the handler's own timer is the authority.
        late: what is done with late results; see `LatePolicies`. Default: dead letters.
        stuck_after: seconds in flight after which a record counts as stuck in the stats. Default 30: longer than a
            request may take.
        park_after: seconds for which a record could not be completed while others could; then it is parked: a dead
            letter that can be replayed. Default 900: longer than most troubles of a part of Restate; None: never.
        park_blocking_after: the same where the record holds up its partition. Default 60.
        backoff: waiting between attempts; see `Backoff`.
        longest_retry_after: seconds; a longer Retry-After of Restate (or a proxy) is cut to this. Default 5.
        unavailable_after: so many different records failing, without a success in between, mean that Restate is away.
            Default 5: one poison record is not an outage.
        misconfigured_after: seconds for which nothing but refusals (401, 403, 404, ...) arrives before the bridge
            stops with a sentence. Default 30: longer than a proxy's restart.
        drain_timeout: seconds that a stop waits for what is in flight. Default 10: orchestrators kill after 30.
        writers: dead letters and outcome records on their way to Kafka at one time. Default 64.
        outcomes: write what became of each result record to the outcomes topic. Default off: a record of Kafka
            for each result is not free.
        progress: forward heartbeats to `TaskMonitor`, and say up to when topics have been read. Default on: one
            call a second for each topic, and nothing more until a worker reports progress.
        allow_bare_awakeables: take a bare awakeable id for a token. Default off: it proves nothing.
    """

    group: str = ""
    consumer: ConsumerOptions = field(default_factory=bridge_member)
    completer: CompleterName = CompleterName.INGRESS
    concurrency: int = 64
    max_in_flight: int = 4_000
    max_in_flight_bytes: int = 64 * 1024 * 1024
    partition_in_flight: int = 1_000
    partition_in_flight_bytes: int = 16 * 1024 * 1024
    fetch_limit: int = 250
    delivered_window: int = 50_000
    late_grace: float = 30.0
    late: LatePolicies = field(default_factory=LatePolicies)
    stuck_after: float = 30.0
    park_after: float | None = 900.0
    park_blocking_after: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)
    longest_retry_after: float = 5.0
    unavailable_after: int = 5
    misconfigured_after: float = 30.0
    drain_timeout: float = 10.0
    writers: int = 64
    outcomes: bool = False
    progress: bool = True
    allow_bare_awakeables: bool = False

    def group_for(self, results: str) -> str:
        """The consumer group that reads this results topic."""
        return self.group or f"{results}.bridge"

    def progress_group_for(self, results: str) -> str:
        """The consumer group that reads the progress topic."""
        return f"{self.group_for(results)}.progress"

    def for_consumer(self) -> ConsumerOptions:
        """The consumer's options, with the bounds of one partition."""
        return replace(
            self.consumer,
            unfinished_records=self.partition_in_flight,
            unfinished_bytes=self.partition_in_flight_bytes,
        )

    def heed(self, delay: float, asked: float | None) -> float:
        """Seconds to wait: the delay, or what Restate asked for (Retry-After) if that is longer, cut to its limit."""
        return delay if asked is None else max(delay, min(asked, self.longest_retry_after))

    def __post_init__(self) -> None:
        """Refuse numbers with which nothing would ever move."""
        for each in fields(self):
            value: object = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            least = 0 if isinstance(value, float) else 1
            if not least <= value < math.inf:
                raise ConfigurationError(f"bridge option {each.name}={value} cannot work: use at least {least}")
