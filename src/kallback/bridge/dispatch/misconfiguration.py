"""Replies that do not change by themselves: when nothing else arrives for a while, a setting is wrong. Pure."""

from __future__ import annotations

from collections.abc import Callable

from kallback.bridge.completers.replies import Misconfigured
from kallback.protocol import AccessDeniedError, ConfigurationError


class MisconfigurationTimer:
    """Measures since when nothing but `Misconfigured` replies has arrived.

    Args:
        limit: seconds after which the settings are the cause, and not a proxy that restarts.
        monotonic: seconds that only grow.
    """

    __slots__ = ("_limit", "_monotonic", "_since")

    def __init__(self, limit: float, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._since: float | None = None

    def clear(self) -> None:
        """Another reply has arrived."""
        self._since = None

    def error_after(self, reply: Misconfigured) -> ConfigurationError | AccessDeniedError | None:
        """Note one more such reply; return the error to stop with, once the limit is over."""
        now = self._monotonic()
        since = self._since = now if self._since is None else self._since
        if now - since < self._limit:
            return None
        kind = AccessDeniedError if reply.denied else ConfigurationError
        return kind(f"nothing was delivered for {now - since:.0f} s: {reply.detail}. No result is lost")
