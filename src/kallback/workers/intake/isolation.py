"""When a record at its last chance may run apart from others, without stopping them for long. Pure.

It waits until no other task function runs that began lately: what has run for a minute does not kill the process at
once, and counts as proven. While tasks come without end there is no such moment by itself, so at times nothing new is
let in: for a second first, and longer each time it was in vain, with pauses of nine times as long in between. It is not
tried where it would be in vain: when what runs has run longer than that already, it will hardly end in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

PROVEN_AFTER_S: Final = 60.0
"""What has run for so long does not keep a record at its last chance waiting."""

_FIRST_HOLD_S: Final = 1.0
_PAUSE_FACTOR: Final = 9.0  # at most a tenth of the time is spent on holding


class Step(Enum):
    """What to do now."""

    WAIT = auto()
    HOLD = auto()
    """Let nothing new begin."""
    RESUME = auto()
    """Let work begin again."""
    RUN = auto()
    """Run the record now."""


class Isolation:
    """One wait for the moment. `step` is called again and again, with a clock that only grows."""

    def __init__(self) -> None:
        self._hold = _FIRST_HOLD_S
        self._holding_since: float | None = None
        self._next_hold = 0.0

    def step(self, now: float, ages: Sequence[float]) -> Step:
        """Say what to do, by the seconds for which each task function has run."""
        young = [age for age in ages if age < PROVEN_AFTER_S]
        if not young:
            return Step.RUN
        if self._holding_since is not None:
            if now - self._holding_since < self._hold:
                return Step.WAIT
            self._holding_since = None
            self._hold_later(now)
            return Step.RESUME
        if now < self._next_hold:
            return Step.WAIT
        if max(young) > self._hold:
            self._hold_later(now)
            return Step.WAIT
        self._holding_since = now
        return Step.HOLD

    def _hold_later(self, now: float) -> None:
        self._next_hold = now + self._hold * _PAUSE_FACTOR
        self._hold = min(self._hold * 2, PROVEN_AFTER_S)
