"""How the call of a task function ends, and why one is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised."""

    error: Exception


CallOutcome = Returned | Raised


class StopReason(StrEnum):
    """Why a function was stopped; whatever it comes to is not published."""

    CANCELLED = "cancelled"
    """The caller waits no more."""
    EXPIRED = "expired"
    """Its deadline is past, and the clocks' difference as well."""
    ABANDONED = "abandoned"
    """The worker stops and cannot wait any longer: another one does the task."""
