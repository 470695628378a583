"""Since when nothing was delivered although it was tried, and when that is worth an alarm. Pure.

The circuit breaker opens when several different results fail. Where few results come, a single one waits: only the time
tells that Restate is unavailable, or that it refuses everything (401, 403, 404, a web page). A wrong setting looks like
a proxy that has lost its route, and only one of the two ends by itself. So a bridge never stops because of it: it tries
on, and says what it gets. Nothing is lost meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from kallback.bridge.completers.replies import Misconfigured, Retry


class UndeliveredTimer:
    """Measures since when every reply was a failure.

    Args:
        limit: seconds after which it is more than a proxy or a server that restarts.
        monotonic: seconds that only grow.
    """

    __slots__ = ("_limit", "_monotonic", "_since")

    def __init__(self, limit: float, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._since: float | None = None

    def clear(self) -> None:
        """Restate has accepted or refused a record."""
        self._since = None

    def failed(self, reply: Misconfigured | Retry) -> str | None:
        """Note one more such reply; return what to tell the operator, once the limit is over."""
        now = self._monotonic()
        since = self._since = now if self._since is None else self._since
        if now - since < self._limit:
            return None
        return f"nothing was delivered to Restate for {now - since:.0f} s: {reply.detail}. No result is lost"
