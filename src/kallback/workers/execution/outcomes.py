"""How the call of a task function ends."""

from __future__ import annotations

from dataclasses import dataclass
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
