"""Which partitions the next attempt avoids: those that nothing reads until the group notices that a worker is gone.

A loss counts for one session timeout: after that, live workers own what the dead one read. If several workers die in
that time, the partitions of all are avoided; where none would be left, only those of the last loss are.

Times come from the journal, so that a replay avoids the same partitions.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from kallback.kafka import Placement

_SESSION_MS: Final = 45_000
"""The longest session timeout that workers choose by themselves."""

_NONE: Final = frozenset[int]()


class _Loss(NamedTuple):
    partitions: frozenset[int]
    delay: timedelta
    """Between the loss and the next attempt."""


class _PastLoss(NamedTuple):
    partitions: frozenset[int]
    at_ms: int


class SilentPartitions:
    """The partitions of the lost attempts of one task."""

    def __init__(self) -> None:
        self._new = _Loss(_NONE, timedelta(0))
        self._past = list[_PastLoss]()
        self._last = _NONE
        self._others = _NONE

    def lost(self, partitions: frozenset[int], delay: timedelta) -> None:
        """The attempt was lost, or not started; the next one follows after this delay."""
        self._new = _Loss(partitions, delay)

    def handed_back(self, partitions: frozenset[int]) -> None:
        """A worker handed the attempt back. It was in the group, so the partitions were assigned anew since then."""
        self._past.clear()
        self.lost(partitions, timedelta(0))

    def begin(self, at_ms: int | None) -> None:
        """The next attempt begins.

        Args:
            at_ms: when, epoch milliseconds. None if the journal has no time: then only the loss just before it counts.
        """
        loss, self._new = self._new, _Loss(_NONE, timedelta(0))
        if at_ms is None:
            self._last = loss.partitions
            return
        earliest_ms = at_ms - _SESSION_MS
        self._past = [past for past in self._past if past.at_ms > earliest_ms]
        self._others = _NONE.union(*(past.partitions for past in self._past))
        new = _PastLoss(loss.partitions, at_ms - loss.delay // timedelta(milliseconds=1))
        self._last = new.partitions if new.at_ms > earliest_ms else _NONE
        self._past.append(new)

    def placement(self, turn: int) -> Placement:
        """Where the current attempt goes."""
        return Placement(turn, self._last, self._others)
