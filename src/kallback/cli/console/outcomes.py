"""The last outcomes: what became of results, and how long that took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from kallback.protocol import Outcome, OutcomeRecord

LAST_OUTCOMES: Final = 200


class Latency(NamedTuple):
    """Milliseconds from a result's record in Kafka to its delivery."""

    median_ms: int
    slowest_ms: int


def latency_of(outcomes: Sequence[OutcomeRecord]) -> Latency | None:
    """Return the latency of the delivered ones; None if there is none. Clocks may differ, so it is never negative."""
    times = sorted(
        max(0, each.at_ms - each.source.timestamp_ms)
        for each in outcomes
        if each.outcome is Outcome.DELIVERED and each.source.timestamp_ms > 0
    )
    return Latency(times[len(times) // 2], times[-1]) if times else None


def counting_outcome(outcomes: Iterable[OutcomeRecord]) -> OutcomeRecord | None:
    """Return the outcome of a task's result that counted: of the last attempt, the first one that was delivered."""
    delivered = [each for each in outcomes if each.outcome is Outcome.DELIVERED]
    return min(delivered, key=lambda each: (-(each.attempt or 0), each.at_ms), default=None)
