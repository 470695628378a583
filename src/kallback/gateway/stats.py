"""What a gateway has done so far, for metrics and probes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kallback.health import Histogram
from kallback.web import ServerStats

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class GatewayStats(ServerStats):
    """Counters; one event loop writes them.

    Attributes:
        requests: answered requests, by action (`unknown` before it is known) and outcome.
        latencies: seconds from a verified request to Kafka's acknowledgement, by action.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    latencies: dict[str, Histogram] = field(default_factory=dict[str, Histogram])

    def latency_of(self, action: str) -> Histogram:
        """The histogram of one action."""
        return self.latencies.setdefault(action, Histogram(_BOUNDS))
