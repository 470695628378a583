"""Log lines about repeated events: one line per kind and interval, then the number of lines left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from kallback.settings.logs import NamedLog

DEFAULT_INTERVAL_S: Final = 10.0


class LogThrottle:
    """Writes at most one line per kind and interval; the next line of that kind says how many were left out.

    Not thread-safe: one event loop or one thread uses it.

    Args:
        log: where lines go.
        monotonic: seconds that only grow.
        interval: seconds.
    """

    def __init__(
        self,
        log: NamedLog,
        monotonic: Callable[[], float] = time.monotonic,
        interval: float = DEFAULT_INTERVAL_S,
    ) -> None:
        self._log: Final = log
        self._monotonic: Final = monotonic
        self._interval: Final = interval
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, event: str, *, kind: str, **fields: Any) -> None:
        """Write a line, or count it. `kind` must come from a small set: memory is kept per kind."""
        if self._is_due(kind, fields):
            self._log.warning(event, kind=kind, **fields)

    def info(self, event: str, *, kind: str, **fields: Any) -> None:
        """Write an information line, or count it, as `warning` does."""
        if self._is_due(kind, fields):
            self._log.info(event, kind=kind, **fields)

    def error(self, event: str, *, kind: str, **fields: Any) -> None:
        """Write an error line, or count it, as `warning` does."""
        if self._is_due(kind, fields):
            self._log.error(event, kind=kind, **fields)

    def _is_due(self, kind: str, fields: dict[str, Any]) -> bool:
        now = self._monotonic()
        if now < self._next.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        self._next[kind] = now + self._interval
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            fields["left_out"] = left_out
        return True
