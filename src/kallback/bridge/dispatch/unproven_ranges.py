"""After an outage: which parts of Restate have answered again, and what waits until the others have. Pure.

The partitions of Restate get their leaders one after the other, seconds apart on a busy machine, and a request for one
that has none is held without an answer. The few that may be under way would soon be such requests only, and results for
the other partitions would wait for them. So at first each *range* of invocations may have two deliveries under way, and
the first answer for it lets all of its others go.

How many partitions there are is not known here. A partition is an interval of partition keys, with which the ids of
invocations begin, and so do those of awakeables: the first character of an id's content names one of 64 intervals.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Final

from kallback.bridge.in_flight.deliveries import Delivery
from kallback.protocol.awakeables import PREFIX

_RANGES: Final = 64
_UNPROVEN_SENDS: Final = 2
_AT: Final = len(PREFIX)


class UnprovenRanges:
    """Holds deliveries back while the range that they are for has not answered."""

    __slots__ = ("_held", "_proven", "_under_way")

    def __init__(self) -> None:
        self._proven: set[str] = set()
        self._under_way: Counter[str] = Counter()
        self._held: defaultdict[str, deque[Delivery]] = defaultdict(deque)

    @property
    def all_proven(self) -> bool:
        """Whether every range has answered: nothing is held."""
        return len(self._proven) == _RANGES

    def holds(self, delivery: Delivery) -> bool:
        """Keep a delivery that must not be sent yet, and return True; or count it as sent."""
        range_ = _range_of(delivery)
        if range_ in self._proven:
            return False
        if self._under_way[range_] >= _UNPROVEN_SENDS:
            self._held[range_].append(delivery)
            return True
        self._under_way[range_] += 1
        return False

    def answered(self, delivery: Delivery, *, final: bool) -> deque[Delivery]:
        """Return those that may be sent now: all of the range after a final reply, else one in place of this one."""
        range_ = _range_of(delivery)
        if final:
            self._proven.add(range_)
            return self._held.pop(range_, deque())
        self._under_way[range_] = max(0, self._under_way[range_] - 1)
        held = self._held[range_]
        return deque([held.popleft()]) if held else deque()

    def release(self) -> list[Delivery]:
        """Return all that are held, and hold nothing more."""
        held = [each for range_ in self._held.values() for each in range_]
        self._held.clear()
        return held


def _range_of(delivery: Delivery) -> str:
    return delivery.completion.target.awakeable_id[_AT]
