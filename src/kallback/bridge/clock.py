"""Time and chance, handed in so that tests own them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where a bridge gets its numbers from.

    Attributes:
        now: seconds since the epoch; deadlines are compared with it.
        monotonic: seconds that only grow; waits and time-outs are measured with it.
        chance: a random number of [0, 1), for jitter.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
