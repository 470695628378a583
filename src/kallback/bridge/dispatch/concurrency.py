"""How many sends may run concurrently: fewer while Restate is overloaded, more again when it is not. Pure.

Additive increase, multiplicative decrease, as in TCP congestion control (RFC 5681): one more after each full round of
successes, half after a 429, a 5xx or a timeout. What was sent before a decrease says nothing about its effect, so a
burst of such replies halves the limit once.
"""

from __future__ import annotations

_DECREASE_FACTOR = 0.5


class ConcurrencyLimiter:
    """A limit between 1 and a maximum.

    Attributes:
        limit: sends that may run concurrently now.
        generation: number of decreases; each send remembers the generation that it belongs to.
    """

    __slots__ = ("_exact", "_maximum", "generation", "limit")

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._exact = float(maximum)
        self.limit = maximum
        self.generation = 0

    def succeeded(self) -> None:
        """A send succeeded."""
        if self.limit < self._maximum:
            self._exact += 1 / self._exact
            self.limit = int(self._exact)

    def overloaded(self, generation: int) -> None:
        """A send of `generation` found Restate overloaded."""
        if generation == self.generation:
            self.generation += 1
            self._exact = max(1.0, self.limit * _DECREASE_FACTOR)
            self.limit = int(self._exact)
