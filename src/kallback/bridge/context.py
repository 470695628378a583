"""What the parts of one bridge have in common."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kallback.bridge.options import BridgeOptions
from kallback.bridge.stats import Stats
from kallback.lifecycle import LogThrottle
from kallback.settings import named_log


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where a bridge gets its numbers from.

    Attributes:
        now: seconds since the epoch; deadlines are compared with it.
        monotonic: seconds that only grow; waits and time-outs are measured with it.
        random: a random number of [0, 1), for jitter.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class BridgeContext:
    """Options, clocks, counters and the log of one bridge."""

    options: BridgeOptions
    clocks: Clocks = field(default_factory=Clocks)
    stats: Stats = field(default_factory=Stats)
    log: LogThrottle = field(init=False)

    def __post_init__(self) -> None:
        """Give the log the clock."""
        object.__setattr__(self, "log", LogThrottle(named_log("kallback.bridge"), self.clocks.monotonic))
