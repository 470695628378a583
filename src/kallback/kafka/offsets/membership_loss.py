"""Tells whether a member may have been fenced by itself. Pure but for its clock.

A member whose session ended while Kafka did not answer joins again under its instance id. A request to join that it had
sent before, and given up, may be answered last: for Kafka another process has taken the id over then, and it fences the
member. A new client of the same process is enough. Without such a loss, there is another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTLED_S: Final = 60.0
"""After an assignment; requests that were given up have been answered long before."""


class MembershipLoss:
    """The last loss of a membership.

    Args:
        monotonic: seconds that only grow.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic: Final = monotonic
        self._is_out = False
        self._assigned_at: float | None = None

    def session_ended(self) -> None:
        """Take note that the session has ended, or that a request to join has no answer."""
        self._is_out, self._assigned_at = True, None

    def assigned(self) -> None:
        """Take note that the member has joined."""
        self._assigned_at = self._monotonic()

    def explains_fencing(self) -> bool:
        """Whether the member has not been in its group for a while since it lost its session."""
        return self._is_out and (self._assigned_at is None or self._monotonic() < self._assigned_at + _SETTLED_S)
