"""What is counted for each record by task type: plain dicts and lists, so that a record costs well under a microsecond.

Task types come from verified tokens only, so nobody without a key can make up labels; and there is a bound on them all
the same. Labels in parentheses are ours: a task type cannot have such a name.
"""

from __future__ import annotations

from typing import Final

from kallback.bridge.results.verify import Target
from kallback.health.histograms import Histogram
from kallback.protocol import Outcome, Token

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets, seconds: from the few milliseconds of an idle bridge to a long outage."""
MOST_TYPES: Final = 100
UNVERIFIED: Final = "(unverified)"
BARE: Final = "(bare)"
OTHER: Final = "(other)"


class Tallies:
    """Outcomes and latencies by task type.

    Args:
        most_types: task types that get a label of their own; the rest share `(other)`.

    Attributes:
        settled: records by task type, outcome and reason.
        latencies: seconds from a record's timestamp to the accepted completion, by task type.
    """

    __slots__ = ("_most_types", "_types", "latencies", "settled")

    def __init__(self, most_types: int = MOST_TYPES) -> None:
        self._most_types = most_types
        self._types: set[str] = set()
        self.settled: dict[tuple[str, Outcome, str | None], int] = {}
        self.latencies: dict[str, Histogram] = {}

    def settle(self, target: Target | None, outcome: Outcome, reason: str | None) -> None:
        """A record has its outcome."""
        key = (target.task_type if type(target) is Token else _label(target), outcome, reason)
        try:
            self.settled[key] += 1
        except KeyError:
            key = (self._admit(key[0]), outcome, reason)
            self.settled[key] = self.settled.get(key, 0) + 1

    def accept(self, target: Target, written_ms: int, now: float) -> None:
        """Restate has taken a completion whose record was written at `written_ms`; clocks that differ give zero."""
        seconds = now - written_ms / 1000
        label = target.task_type if type(target) is Token else _label(target)
        try:
            histogram = self.latencies[label]
        except KeyError:
            histogram = self.latencies.setdefault(self._admit(label), Histogram(BOUNDS))
        histogram.observe(max(seconds, 0.0))

    def _admit(self, label: str) -> str:
        if label.startswith("(") or label in self._types:
            return label
        if len(self._types) >= self._most_types:
            return OTHER
        self._types.add(label)
        return label


def _label(target: Target | None) -> str:
    """Of what has no task type."""
    return UNVERIFIED if target is None else BARE
