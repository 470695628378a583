"""How long to wait before trying again: doubling, jittered, bounded."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

_MOST_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds; half of each is chance, so that many workers do not knock together."""

    first: float
    limit: float

    def delay(self, failures: int) -> float:
        """The pause after so many failures before this one."""
        longest = min(self.limit, self.first * 2.0 ** min(failures, _MOST_DOUBLINGS))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
