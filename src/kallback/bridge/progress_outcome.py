"""What became of a progress record."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """What became of a progress record; labels of a metric."""

    FORWARDED = "forwarded"
    """Restate has accepted it."""
    COALESCED = "coalesced"
    """A newer one of the same task was there before it was its turn."""
    UNVERIFIED = "unverified"
    """Nothing proves where it came from."""
    INVALID = "invalid"
    """The token is good, the rest is not understood."""
    LATE = "late"
    """Its attempt's deadline has passed."""
    REFUSED = "refused"
    """Restate refuses it for good."""
    UNWATCHED = "unwatched"
    """Restate has no `TaskMonitor`: nobody wants to know."""
