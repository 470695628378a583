"""What the parts of one bridge have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from kallback.bridge.clock import Clocks
from kallback.bridge.log_throttle import RareLog
from kallback.bridge.options import BridgeOptions
from kallback.bridge.stats import Stats


@dataclass(frozen=True, slots=True)
class Shared:
    """Options, clocks, counters and the log of one bridge."""

    options: BridgeOptions
    clocks: Clocks = field(default_factory=Clocks)
    stats: Stats = field(default_factory=Stats)
    log: RareLog = field(init=False)

    def __post_init__(self) -> None:
        """Give the log the clock."""
        object.__setattr__(self, "log", RareLog(self.clocks.monotonic))
