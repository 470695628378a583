"""Virtual time: it advances only when nothing else can happen, directly to the next action that is due."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Final

START: Final = 1_800_000_000.0
"""Epoch seconds at which a test begins: the same in each run."""

Action = Callable[[], None]


class VirtualTime:
    """A clock, and what happens at which time.

    Attributes:
        now: epoch seconds.
    """

    def __init__(self) -> None:
        self.now = START
        self._due: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, action: Action) -> None:
        """Schedule an action; of two at the same time, the one that was scheduled first."""
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), action))

    def jump(self) -> bool:
        """Go to the next thing that is due and let it happen; False if there is none."""
        if not self._due:
            return False
        due, _, action = heapq.heappop(self._due)
        self.now = max(self.now, due)
        action()
        return True
