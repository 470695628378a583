"""What is being sent to Restate: how many sends, how many bytes, and which part of both retries have. Pure.

A send holds a body beside its record until the answer has come, so bytes are bounded, too. New deliveries and retries
have limits of their own: large retries that hang never stop the new ones, nor the reverse. A limit is passed by one
send at most, so that one that is larger than all of it can go.
"""

from __future__ import annotations

from typing import Final

_NEW_BYTES: Final = 6 * 1024 * 1024
_RETRY_BYTES: Final = 2 * 1024 * 1024
_RETRY_SHARE: Final = 4  # retries take one of this many sends


class UnderWay:
    """Counts what is under way.

    Attributes:
        sends: of both kinds.
        retries: the part of the sends that are retries.
    """

    __slots__ = ("_new_bytes", "_retry_bytes", "retries", "sends")

    def __init__(self) -> None:
        self.sends = self.retries = 0
        self._new_bytes = self._retry_bytes = 0

    def add(self, size: int, *, retry: bool) -> None:
        """Count a send of so many bytes."""
        self.sends += 1
        if retry:
            self.retries += 1
            self._retry_bytes += size
        else:
            self._new_bytes += size

    def remove(self, size: int, *, retry: bool) -> None:
        """Count it no longer."""
        self.sends -= 1
        if retry:
            self.retries -= 1
            self._retry_bytes -= size
        else:
            self._new_bytes -= size

    @property
    def admits_new(self) -> bool:
        """Whether the bytes of new deliveries leave room for another one."""
        return self._new_bytes < _NEW_BYTES

    def admits_retry(self, limit: int) -> bool:
        """Return whether another retry may go, if `limit` is how many sends may be under way."""
        return self.retries < max(1, limit // _RETRY_SHARE) and self._retry_bytes < _RETRY_BYTES
