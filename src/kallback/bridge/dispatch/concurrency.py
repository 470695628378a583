"""How many completions may be under way: fewer when Restate is overloaded, more again when it is not. Pure.

Additive increase, multiplicative decrease, as TCP's congestion control does it (RFC 5681): one more after each full
round of successes, half after a 429, a 5xx or a time-out. What was sent before a decrease says nothing of its effect,
so a burst of such replies halves once.
"""

from __future__ import annotations

_DECREASE = 0.5


class ConcurrencyLimiter:
    """A limit between 1 and a maximum.

    Attributes:
        limit: so many may be under way now.
        generation: counts decreases; what is sent carries it.
    """

    __slots__ = ("_exact", "_maximum", "generation", "limit")

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._exact = float(maximum)
        self.limit = maximum
        self.generation = 0

    def succeeded(self) -> None:
        """Something that was sent got through."""
        if self.limit < self._maximum:
            self._exact += 1 / self._exact
            self.limit = int(self._exact)

    def overloaded(self, generation: int) -> None:
        """Something that was sent in `generation` met a crowd."""
        if generation == self.generation:
            self.generation += 1
            self._exact = max(1.0, self.limit * _DECREASE)
            self.limit = int(self._exact)
