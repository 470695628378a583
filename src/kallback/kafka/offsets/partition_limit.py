"""How much of one partition is handed out and not done: the bound that keeps one partition from taking all the room.

Full, it shuts; it opens again at three quarters, or each record that becomes done would be fetched for by itself.
"""

from __future__ import annotations

import sys
from typing import Final

_REFILL: Final = 0.75


class Load:
    """Counts records and bytes. Not thread-safe: whoever owns it guards it.

    Args:
        most_records: shut at so many; None: no bound.
        most_bytes: shut at so many; None: no bound. A single record may be larger.
    """

    __slots__ = ("_bytes", "_most_bytes", "_most_records", "_records", "_shut")

    def __init__(self, most_records: int | None, most_bytes: int | None) -> None:
        self._most_records = most_records or sys.maxsize
        self._most_bytes = most_bytes or sys.maxsize
        self._records = 0
        self._bytes = 0
        self._shut = False

    @property
    def room(self) -> int:
        """How many more records may be handed out."""
        return 0 if self._shut else self._most_records - self._records

    def add(self, size: int) -> None:
        """One record more."""
        self._records += 1
        self._bytes += size
        self._shut = self._records >= self._most_records or self._bytes >= self._most_bytes

    def remove(self, size: int) -> None:
        """One record less."""
        self._records -= 1
        self._bytes -= size
        if self._shut:
            self._shut = self._records > self._most_records * _REFILL or self._bytes > self._most_bytes * _REFILL
