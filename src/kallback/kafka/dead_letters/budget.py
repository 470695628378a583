"""Decides which dead letters of unverified records are written whole, and which are counted in a summary. Pure.

Anyone who may write to a topic causes such dead letters, as many as he likes. So there is a rate for each reason, and a
bound on their bytes for all reasons together. Both refill evenly: the caller passes the time.

Summaries are charged for, too, and never refused, because each record needs its outcome. When nothing is left for them
(`is_used_up`), they are written rarely, and those of bridges are small: see `SummaryBuilder`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from kallback.settings import DeadLetterSettings

_BURST_S: Final = 10.0
"""Seconds of the rate that may be used at once, after a quiet time."""
_HOUR_S: Final = 3600.0
_ADDED_BYTES: Final = 1024
"""Bytes that dead-lettering adds to a record: the headers with reason and position."""


class LetterForm(Enum):
    """How a record is dead-lettered."""

    WHOLE = auto()
    """A dead letter of its own, byte for byte."""
    SUMMARY = auto()
    """One of many that a summary counts."""


class _Bucket:
    """A token bucket."""

    __slots__ = ("_capacity", "_level", "_rate", "_since")

    def __init__(self, capacity: float, rate: float, now: float) -> None:
        self._capacity = self._level = capacity
        self._rate = rate
        self._since = now

    def level(self, now: float) -> float:
        """Return what may be taken."""
        self._level = min(self._capacity, self._level + max(0.0, now - self._since) * self._rate)
        self._since = now
        return self._level

    def take(self, amount: float) -> None:
        """Take what `level` said may be taken."""
        self._level -= amount


class LetterBudget:
    """What may be written whole, by reason and bytes.

    In any hour at most `bytes_per_hour` bytes are admitted: half of them may be used at once, the other half refills
    within the hour.

    Args:
        now: seconds that only grow, as in every call.
    """

    def __init__(self, settings: DeadLetterSettings, now: float) -> None:
        half = settings.bytes_per_hour / 2
        self._rate = settings.per_second
        self._bytes = _Bucket(half, half / _HOUR_S, now)
        self._by_reason: dict[str, _Bucket] = {}

    def decide(self, reason: str, size: int, now: float) -> LetterForm:
        """Decide about one record, and charge it if it is written whole.

        Args:
            reason: one of a small set: memory is kept for each.
            size: bytes of key, value and headers.
            now: as in the constructor.
        """
        bucket = self._by_reason.get(reason)
        if bucket is None:
            bucket = self._by_reason[reason] = _Bucket(self._rate * _BURST_S, self._rate, now)
        if bucket.level(now) < 1 or not self.admits_bytes(size, now):
            return LetterForm.SUMMARY
        bucket.take(1)
        return LetterForm.WHOLE

    def admits_bytes(self, size: int, now: float) -> bool:
        """Charge the bytes of one record if there is room for them; return whether there was."""
        charge = size + _ADDED_BYTES
        if self._bytes.level(now) < charge:
            return False
        self._bytes.take(charge)
        return True

    def charge_summary(self, size: int, now: float) -> None:
        """Charge the bytes of a summary without its sample; what is not left is not owed."""
        self._bytes.take(min(size + _ADDED_BYTES, self._bytes.level(now)))

    def is_used_up(self, now: float) -> bool:
        """Whether the bytes of now are used up, so that summaries must be few and small."""
        return self._bytes.level(now) < _ADDED_BYTES
