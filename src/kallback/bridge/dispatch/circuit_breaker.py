"""Whether Restate is there, as far as replies tell. Pure: whoever asks says what time it is.

*Flowing*: failures of single records are those records' own matter. When several different records have failed without
a success in between, Restate is *away*: one probe at a time, after a growing wait, until one gets through. A probe
carries whatever record is next, so that a record that never succeeds cannot be the only one that is tried.
"""

from __future__ import annotations

from enum import Enum, auto

from kallback.bridge.options import Backoff


class Flow(Enum):
    """How things stand."""

    FLOWING = auto()
    AWAY = auto()


class Breaker:
    """Counts replies.

    Args:
        backoff: waits between probes.
        away_after: so many different records failing in a row mean away.
    """

    __slots__ = ("_away_after", "_backoff", "_failing", "_failures", "_probe_at", "_probing", "flow")

    def __init__(self, backoff: Backoff, away_after: int) -> None:
        self._backoff = backoff
        self._away_after = away_after
        self._failing: set[str] = set()
        self._failures = 0
        self._probe_at = 0.0
        self._probing = False
        self.flow = Flow.FLOWING

    def admits(self, now: float) -> bool:
        """Whether something may be sent now; while away, a yes is given once and makes it the probe."""
        if self.flow is Flow.FLOWING:
            return True
        if self._probing or now < self._probe_at:
            return False
        self._probing = True
        return True

    def succeeded(self) -> bool:
        """Restate took or judged a record; True if it was away before."""
        if self._failing:
            self._failing.clear()
        if self.flow is Flow.FLOWING:
            return False
        self.flow, self._probing, self._failures = Flow.FLOWING, False, 0
        return True

    def failed(self, identity: str, now: float, chance: float, *, probe: bool) -> bool:
        """A record came back without a judgement; True if Restate is away from now on."""
        if self.flow is Flow.AWAY:
            if probe:
                self._wait(now, chance)
            return False
        self._failing.add(identity)
        if len(self._failing) < self._away_after:
            return False
        self.flow = Flow.AWAY
        self._wait(now, chance)
        return True

    def until_probe(self, now: float) -> float:
        """Seconds until the next probe may go."""
        return max(0.0, self._probe_at - now)

    def _wait(self, now: float, chance: float) -> None:
        self._probing = False
        self._failures += 1
        self._probe_at = now + self._backoff.delay(self._failures, chance)
