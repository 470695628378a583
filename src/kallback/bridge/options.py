"""How one bridge behaves: frozen, each field with unit, default and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from kallback.bridge.results.late_policy import LatePolicies
from kallback.kafka import Client, ConsumerOptions
from kallback.kafka.consumer import check_group
from kallback.lifecycle import Backoff
from kallback.protocol.errors import ConfigurationError
from kallback.protocol.frameworks.conventions import DETECTED, Conventions
from kallback.settings.option_types import check_option_types


def bridge_member() -> ConsumerOptions:
    """Return how a bridge is a member of its group by default.

    No record holds the event loop for long, so a short session (6 s, the least that brokers allow by default) is safe,
    and a bridge that is killed is replaced after about 4 s. What is in flight when a partition is revoked gets 5 s.
    """
    return ConsumerOptions(session_timeout=6.0, drain_timeout=5.0)


class CompleterName(StrEnum):
    """How completions reach Restate."""

    INGRESS = "ingress"
    """One request to HTTP ingress for each result: no set-up."""
    NOTIFIER = "notifier"
    """Batches to `NotifierService`, which a Restate service must bind: the least CPU for each result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOptions:
    """How one bridge behaves.

    Attributes:
        group: consumer group; bridges of one group share the partitions of the results topic. Default: the name of
            the results topic and `.bridge`, so that environments on one Kafka never rebalance each other.
        consumer: how the consumer behaves; see `ConsumerOptions` and `bridge_member`.
        client: the Kafka client; see `Client`. Default confluent: its heartbeats do not depend on the event loop.
            aiokafka bounds what a record batch unfolds to for every codec.
        completer: how completions reach Restate; see `CompleterName`. Default ingress: it needs no set-up.
        concurrency: concurrent requests to Restate (the notifier uses four at most). Default 512: the more answers come
            in one read, the less each costs. Over HTTP/1.1 128 at most, because each has a connection of its own.
        max_in_flight: result records fetched and not settled. Default 4,000: less than half a second of work at
            full speed, so that a pause of the broker does not show, and little to send again after a crash. Those that
            only wait for their dead letter count in bytes alone, up to 32 MiB.
        max_in_flight_bytes: the same in bytes of memory: keys, values, headers and the objects around them. Default
            48 MiB: with values of a megabyte, a bridge takes less than 150 MiB in all.
        partition_in_flight: result records of one partition fetched and not settled. Default 1,000: enough to drain
            one partition at full speed, and a quarter of all, so that a partition full of records that cannot be
            completed leaves room for the others.
        partition_in_flight_bytes: the same in bytes of keys and values. Default 12 MiB, a quarter of all.
        fetch_limit: records taken from Kafka at once. Default 250: deciding on a batch keeps the event loop busy
            for about 5 ms.
        delivered_window: delivered tokens that are remembered, so that duplicates are not posted again. Default
            50,000: a few seconds of full load in about 10 MB; after that a duplicate is posted again, which is
            harmless.
        late_grace: seconds after the deadline in which a result is still posted. Default 30, as in the wire protocol:
            clocks differ, and the handler's own timer decides.
        late: what is done with late results; see `LatePolicies`. Default: dead letters.
        conventions: what marks a result as failed, for each task type; see `Conventions`. Default: the errors of all
            frameworks that cannot be mistaken are detected.
        stuck_after: seconds in flight after which a record counts as stuck in the stats. Default 30: longer than a
            request may take.
        park_after: seconds for which a record failed while others succeeded, before it is parked: a dead letter that
            can be replayed. Default 900: longer than most troubles of a part of Restate; None: never.
        park_blocking_after: the same for a record that blocks its partition. Default 60.
        backoff: waits between attempts. Default 0.05 s, doubled up to 0.5 s: most hiccups of Restate are shorter. While
            Restate counts as unavailable, a quarter of a second at most, so that the bridge notices its return.
        longest_retry_after: seconds; a longer Retry-After of Restate (or a proxy) is cut to this. Default 5.
        unavailable_after: failed sends with different records, without a success in between, after which Restate
            counts as unavailable. Default 5: one poison record is not an outage.
        misconfigured_after: seconds for which nothing but failures arrives (no answer, 401, 404, 503, ...) before the
            bridge logs an error and is not ready; it tries on. Default 30: longer than a proxy's restart.
        drain_timeout: seconds that a stop waits for what is in flight. Default 10: orchestrators kill after 30.
        writers: dead letters that are written to Kafka at one time, and as many outcome records. Default 64.
        outcomes: write the outcome of each result record to the outcomes topic. Default off: it costs one more Kafka
            record for each result.
        progress: forward heartbeats to `TaskMonitor`, and report up to when topics have been read. Default on: one
            call a second for each topic, and nothing more until a worker reports progress.
        allow_bare_awakeables: accept unsigned awakeable ids in place of tokens. Default off: they are not
            authenticated.
    """

    group: str = ""
    consumer: ConsumerOptions = field(default_factory=bridge_member)
    client: Client = Client.CONFLUENT
    completer: CompleterName = CompleterName.INGRESS
    concurrency: int = 512
    max_in_flight: int = 4_000
    max_in_flight_bytes: int = 48 * 1024 * 1024
    partition_in_flight: int = 1_000
    partition_in_flight_bytes: int = 12 * 1024 * 1024
    fetch_limit: int = 250
    delivered_window: int = 50_000
    late_grace: float = 30.0
    late: LatePolicies = field(default_factory=LatePolicies)
    conventions: Conventions = DETECTED
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
        """Return the consumer group that reads this results topic."""
        return self.group or f"{results}.bridge"

    def progress_group_for(self, results: str) -> str:
        """Return the consumer group that reads the progress topic."""
        return f"{self.group_for(results)}.progress"

    def for_consumer(self) -> ConsumerOptions:
        """Return the consumer's options, with the limits of one partition; results of the history are known as such."""
        return replace(
            self.consumer,
            mark_history=True,
            unfinished_records=self.partition_in_flight,
            unfinished_bytes=self.partition_in_flight_bytes,
        )

    def delay_of(self, delay: float, asked: float | None) -> float:
        """Return the seconds to wait: the delay, or what Restate asked for (Retry-After, up to its limit) if longer."""
        return delay if asked is None else max(delay, min(asked, self.longest_retry_after))

    def __post_init__(self) -> None:
        """Refuse types, a group that no client can join, and numbers with which nothing could be fetched or sent."""
        if self.group:
            check_group(self.group)
        check_option_types(self)
        for each in fields(self):
            value: object = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            least = 0 if isinstance(value, float) else 1
            if not least <= value < math.inf:
                raise ConfigurationError(f"bridge option {each.name}={value} cannot work: use at least {least}")
