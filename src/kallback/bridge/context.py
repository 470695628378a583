"""What all components of one bridge use: options, clocks, counters, the throttled log and the supervisor."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kallback.bridge.options import BridgeOptions
from kallback.bridge.stats import Stats
from kallback.lifecycle import LogThrottle, Supervisor
from kallback.settings import named_log

_log: Final = named_log("kallback.bridge")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time and randomness, injected so that tests control them.

    Attributes:
        now: seconds since the epoch; deadlines are compared with it.
        monotonic: seconds that only grow; waits and timeouts are measured with it.
        random: a random number of [0, 1), for jitter.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random


class BridgeContext:
    """Options, clocks, counters, log and supervisor of one bridge.

    Args:
        on_failure: told the first failure of a supervised component; the bridge stops with it.

    Attributes:
        supervisor: runs the tasks and guards the callbacks of all components.
    """

    __slots__ = ("clocks", "log", "options", "stats", "supervisor")

    def __init__(
        self,
        options: BridgeOptions,
        clocks: Clocks | None = None,
        *,
        on_failure: Callable[[Exception], object] = lambda _: None,
    ) -> None:
        self.options: Final = options
        self.clocks: Final = clocks or Clocks()
        self.stats: Final = Stats()
        self.log: Final = LogThrottle(_log, self.clocks.monotonic)
        self.supervisor: Final = Supervisor("kallback-bridge", on_failure, _log)
