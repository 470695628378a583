"""What a refused commit means: in a rebalance nothing is lost by it, and only one that goes on is worth a warning.

It is ordinary that a rebalance overtakes a commit: Kafka refuses positions of a generation that has ended. A partition
that stays is committed again within a second. One that went is read by its new owner from the last commit that Kafka
took, so what was done since then is done again, as after a crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.lifecycle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Callable

    from kallback.settings import NamedLog

_LONGEST_S: Final = 90.0
"""Of a rebalance: members drain for half a minute, and one that crashed is noticed within 45 s."""
_WARN_EVERY_S: Final = 60.0
"""While Kafka is away, a commit fails each second or two, for as long as that takes."""
_APART_S: Final = 30.0
"""Failures that are further apart belong to different rebalances; what is due is committed each second."""


class CommitFailures:
    """Logs the failed commits of one consumer; a commit that was taken ends a series.

    Not thread-safe: the consumer's own thread or event loop uses it.
    """

    def __init__(self, log: NamedLog, monotonic: Callable[[], float]) -> None:
        self._log: Final = log
        self._monotonic: Final = monotonic
        self._first: float | None = None
        self._last = 0.0
        self._warnings: Final = LogThrottle(log, monotonic, _WARN_EVERY_S)

    def unavailable(self, reason: str) -> None:
        """Log that none is made while no broker answers."""
        self._warnings.warning("nothing is committed while Kafka is unavailable", kind="unavailable", reason=reason)

    def taken(self) -> None:
        """Kafka took a commit."""
        self._first = None

    def failed(self, reason: str, *, in_rebalance: bool = False, leaving: bool = False) -> None:
        """Log one.

        Args:
            reason: Kafka's or the client's.
            in_rebalance: the generation of the commit has ended.
            leaving: its partitions go to other members now.
        """
        now = self._monotonic()
        if self._first is None or now - self._last > _APART_S:
            self._first = now
        self._last = now
        if in_rebalance and now - self._first < _LONGEST_S:
            self._log.info(
                "a rebalance overtook a commit, nothing is lost: what stays is committed again, the rest is read again",
                reason=reason,
            )
        elif leaving:
            self._log.warning(
                "commit failed, what is done since the last one is done again by the new owner", reason=reason
            )
        else:
            self._warnings.warning("commit failed, the next one covers it", kind="commit-failed", reason=reason)
