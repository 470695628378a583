"""Log lines for rare events, which stay rare when the event does not: one line per kind and interval, then a count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kallback.settings import named_log

INTERVAL: Final = 10.0
_log: Final = named_log("kallback.bridge")


class LogThrottle:
    """Warns at most once per kind and interval; the next line of that kind says how many were left out.

    Args:
        monotonic: seconds that only grow.
        interval: seconds.
    """

    def __init__(self, monotonic: Callable[[], float], interval: float = INTERVAL) -> None:
        self._monotonic = monotonic
        self._interval = interval
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, event: str, *, kind: str, **fields: Any) -> None:
        """Write a line, or count it. `kind` must come from a small set, or memory grows."""
        now = self._monotonic()
        if now < self._next.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._next[kind] = now + self._interval
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            fields["left_out"] = left_out
        _log.warning(event, kind=kind, **fields)
