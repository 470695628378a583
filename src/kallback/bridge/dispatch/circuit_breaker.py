"""Whether Restate is there, as far as replies tell. Pure: whoever asks says what time it is.

*Flowing*: failures of single records are those records' own matter. When several different records have failed without
a success in between, Restate is *away*: one probe at a time, after a growing wait, until one gets through. A probe
carries whatever record is next, so that a record that never succeeds cannot be the only one that is tried.
"""

from __future__ import annotations

from enum import Enum, auto

from kallback.bridge.options import Backoff


class CircuitState(Enum):
    """How things stand."""

    CLOSED = auto()
    OPEN = auto()


class CircuitBreaker:
    """Counts replies.

    Args:
        backoff: waits between probes.
        unavailable_after: so many different records failing in a row mean away.
    """

    __slots__ = ("_backoff", "_failing", "_failures", "_probe_at", "_probing", "_unavailable_after", "state")

    def __init__(self, backoff: Backoff, unavailable_after: int) -> None:
        self._backoff = backoff
        self._unavailable_after = unavailable_after
        self._failing: set[str] = set()
        self._failures = 0
        self._probe_at = 0.0
        self._probing = False
        self.state = CircuitState.CLOSED

    def admits(self, now: float) -> bool:
        """Whether something may be sent now; while away, a yes is given once and makes it the probe."""
        if self.state is CircuitState.CLOSED:
            return True
        if self._probing or now < self._probe_at:
            return False
        self._probing = True
        return True

    def succeeded(self) -> bool:
        """Restate took or judged a record; True if it was away before."""
        if self._failing:
            self._failing.clear()
        if self.state is CircuitState.CLOSED:
            return False
        self.state, self._probing, self._failures = CircuitState.CLOSED, False, 0
        return True

    def failed(self, identity: str, now: float, chance: float, *, probe: bool) -> bool:
        """A record came back without a reply; True if Restate is away from now on."""
        if self.state is CircuitState.OPEN:
            if probe:
                self._wait(now, chance)
            return False
        self._failing.add(identity)
        if len(self._failing) < self._unavailable_after:
            return False
        self.state = CircuitState.OPEN
        self._wait(now, chance)
        return True

    def until_probe(self, now: float) -> float:
        """Seconds until the next probe may go."""
        return max(0.0, self._probe_at - now)

    def _wait(self, now: float, chance: float) -> None:
        self._probing = False
        self._failures += 1
        self._probe_at = now + self._backoff.delay(self._failures, chance)
