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
    """The function raised, or could not be called."""

    error: BaseException


CallOutcome = Returned | Raised


class NotStartedError(Exception):
    """The operating system gives no thread or process now. Its cause says why; a later try may succeed."""


class StopReason(StrEnum):
    """Why a function was stopped; what it returns or raises afterwards is not published."""

    CANCELLED = "cancelled"
    """The caller does not wait any longer."""
    EXPIRED = "expired"
    """Its deadline and the tolerated clock skew have passed."""
    ABANDONED = "abandoned"
    """The worker stops and cannot wait any longer: another one does the task."""
