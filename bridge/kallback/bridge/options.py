"""How one bridge behaves: frozen, each field with unit, default and reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from kallback.kafka import ConsumerOptions
from kallback.protocol.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waiting between attempts: doubles from `first` up to `longest`, each time between half and all of it.

    Attributes:
        first: seconds after the first failure. Default 0.05: most hiccups of Restate are shorter.
        longest: seconds at most. Default 1, so that completions resume within a second of Restate's return.
    """

    first: float = 0.05
    longest: float = 1.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row (at least 1), for a random number of [0, 1)."""
        grown = self.first * 2.0 ** min(failures - 1, 30)
        return min(self.longest, grown) * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOptions:
    """How one bridge behaves.

    Attributes:
        group: consumer group; bridges of one group share the results topic's partitions. Default: the results
            topic's name and `.bridge`, so that environments on one Kafka never rebalance each other.
        consumer: how the consumer behaves; see `ConsumerOptions`.
        concurrency: completions on their way to Restate at one time. Default 64: on two cores the rate no
            longer grows beyond that.
        max_in_flight: result records fetched and not settled. Default 2,000: a fifth of a second of work at full
            speed, so that a pause of the broker does not show, and little to send again after a crash.
        max_in_flight_bytes: the same in bytes of their values. Default 64 MiB, to stay in small containers.
        fetch_limit: records taken from Kafka at once. Default 250: the event loop is busy with deciding on a
            batch for about 5 ms.
        delivered_window: tokens remembered as delivered, so that copies are not posted again. Default 50,000:
            a few seconds of full load at about 10 MB; after it a copy is posted again, which is harmless.
        late_grace: seconds after the deadline in which a result is still posted. Default 30, the wire's: clocks
            differ, and the handler's own timer is the authority.
        backoff: waiting between attempts; see `Backoff`.
        longest_retry_after: seconds; a longer Retry-After of Restate (or a proxy) is cut to this. Default 5.
        away_after: so many different records failing, without a success in between, mean that Restate is away.
            Default 5: one poison record is not an outage.
        misconfigured_after: seconds for which nothing but refusals (401, 403, 404, ...) arrives before the bridge
            stops with a sentence. Default 30: longer than a proxy's restart.
        drain_timeout: seconds that a stop waits for what is in flight. Default 10: orchestrators kill after 30.
        writers: dead letters and outcome records on their way to Kafka at one time. Default 64.
        outcomes: write what became of each result record to the outcomes topic. Default off: a record of Kafka
            for each result is not free.
        allow_bare_awakeables: take a bare awakeable id for a token. Default off: it proves nothing.
    """

    group: str = ""
    consumer: ConsumerOptions = field(default_factory=ConsumerOptions)
    concurrency: int = 64
    max_in_flight: int = 2_000
    max_in_flight_bytes: int = 64 * 1024 * 1024
    fetch_limit: int = 250
    delivered_window: int = 50_000
    late_grace: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)
    longest_retry_after: float = 5.0
    away_after: int = 5
    misconfigured_after: float = 30.0
    drain_timeout: float = 10.0
    writers: int = 64
    outcomes: bool = False
    allow_bare_awakeables: bool = False

    def group_for(self, results: str) -> str:
        """The consumer group that reads this results topic."""
        return self.group or f"{results}.bridge"

    def __post_init__(self) -> None:
        """Refuse numbers with which nothing would ever move."""
        for each in fields(self):
            value: object = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            least = 0 if isinstance(value, float) else 1
            if not least <= value < math.inf:
                raise ConfigurationError(f"bridge option {each.name}={value} cannot work: use at least {least}")
