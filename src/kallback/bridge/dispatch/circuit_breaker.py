"""Whether Restate is available, as far as its replies say. Pure: the caller passes the time.

*Closed*: everything is sent; failures of single records are their own matter. When several sends with different records
have failed without a success in between, the circuit *opens*: nothing is sent until a growing wait is over. Then it is
*half-open*: a probe is running. Its success closes the circuit, its failure opens it again. A probe carries the
next record, whichever it is, so that a record that never succeeds cannot be the only one that is tried.

Restate takes connections before its partitions have leaders, and holds each request until the leader of its own is
elected. So a probe without an answer says nothing of the other partitions: after a moment another one is sent beside
it, up to a few.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from kallback.lifecycle import Backoff

_NEXT_PROBE_S: Final = 0.5
"""Without an answer, after which another probe is sent beside it."""
_MOST_PROBES: Final = 4


class CircuitState(Enum):
    """What may be sent."""

    CLOSED = auto()
    """Everything."""
    OPEN = auto()
    """Nothing before the wait is over."""
    HALF_OPEN = auto()
    """Only probes, of which one is running at least."""


class CircuitBreaker:
    """Counts successes and failures.

    Args:
        backoff: waits between probes.
        unavailable_after: different records failing in a row that open the circuit.

    Attributes:
        state: what may be sent now.
    """

    __slots__ = ("_backoff", "_failing", "_failures", "_probe_at", "_probes", "_unavailable_after", "state")

    def __init__(self, backoff: Backoff, unavailable_after: int) -> None:
        self._backoff = backoff
        self._unavailable_after = unavailable_after
        self._failing: set[str] = set()
        self._failures = 0
        self._probe_at = 0.0
        self._probes = 0
        self.state = CircuitState.CLOSED

    @property
    def is_closed(self) -> bool:
        """Whether everything may be sent."""
        return self.state is CircuitState.CLOSED

    def admits(self, now: float) -> bool:
        """Return whether something may be sent now; unless closed, each True is for one probe."""
        if self.state is CircuitState.CLOSED:
            return True
        if now < self._probe_at or self._probes >= _MOST_PROBES:
            return False
        self.state = CircuitState.HALF_OPEN
        self._probes += 1
        self._probe_at = now + _NEXT_PROBE_S
        return True

    def succeeded(self) -> bool:
        """Restate accepted or refused a record; return True if the circuit was not closed before."""
        if self._failing:
            self._failing.clear()
        if self.state is CircuitState.CLOSED:
            return False
        self.state, self._failures, self._probes = CircuitState.CLOSED, 0, 0
        return True

    def failed(self, identity: str, now: float, jitter: float, *, probe: bool) -> bool:
        """A send failed, with the record `identity`; return True if the circuit opens now."""
        if self.state is not CircuitState.CLOSED:
            if probe:
                self._probes = max(0, self._probes - 1)
                self._open(now, jitter)
            return False
        self._failing.add(identity)
        if len(self._failing) < self._unavailable_after:
            return False
        self._open(now, jitter)
        return True

    def until_probe(self, now: float) -> float:
        """Return the seconds until the next probe may be sent."""
        return max(0.0, self._probe_at - now)

    def _open(self, now: float, jitter: float) -> None:
        self.state = CircuitState.OPEN
        self._failures += 1
        self._probe_at = now + self._backoff.delay(self._failures, jitter)
